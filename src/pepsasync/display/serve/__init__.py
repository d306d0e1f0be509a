"""`--serve PORT`: a page about a run, and metrics for Prometheus, on this machine alone.

`board`: what there is to show, fed with events. `app`: the routes and who may ask. `metrics`: for Prometheus. `server`:
uvicorn in a thread of its own. `page.html`, `page.js`, `page.css`: the page.
"""
