"""Workers of a cluster that download, verify and name products, into a folder that they share with this process.

`Dask` is what `Client.fetch(..., executor=...)` takes. The coordinator is this process: it searches, stages, watches,
keeps every limit and writes the journal. `errand` is what goes to a worker and comes back, `worker` what runs there,
`checks` what is looked at before the first product, `connection` the only module that talks to Dask's scheduler, and
`executor` sends products out.
"""

from pepsasync.cluster.dask import Dask

__all__ = ["Dask"]
