"""`--location` with several hits: a terminal is asked, elsewhere they are listed."""

import pytest

from pepsasync.cli import places
from pepsasync.sync.order import read_order


@pytest.fixture
def terminal(monkeypatch):
    """A user who answers what the test says."""
    answers = []
    monkeypatch.setattr(places, "_is_terminal", lambda: True)
    monkeypatch.setattr(places, "answer", lambda _: answers.pop(0))
    return answers


@pytest.mark.parametrize("command", ["search", "fetch", "plan", "stage"])
def test_without_a_terminal_hits_are_listed_and_it_ends_with_2(run, clients, command):
    done = run(command, "-c", "S1", "-l", "Cordoba", "--provider", "geodes")

    assert done.code == 2
    assert "may be Córdoba, AR; Córdoba, ES" in done.err
    assert "'Córdoba, AR'" in done.err
    assert not any(hasattr(client, "query") for client in clients.all)


def test_a_terminal_is_asked(run, clients, terminal):
    terminal.append("2")
    done = run("search", "-c", "S1", "-l", "Cordoba", "--provider", "geodes")

    assert done.code == 0, done.err
    assert "Córdoba, ES" == clients.all[0].query.location


@pytest.mark.parametrize("said", ["", "0", "3", "two", "²"])
def test_other_answers_end_with_2(run, clients, terminal, said):
    terminal.append(said)
    done = run("search", "-c", "S1", "-l", "Cordoba", "--provider", "geodes")

    assert done.code == 2
    assert "is none of the places" in done.err


@pytest.mark.parametrize("text", ["Toulouse", "Paris", "London", "Cordoba, ES", "Paris, Texas", "Springfield, MO, US"])
def test_what_is_clear_is_not_asked_for(run, clients, text):
    assert run("search", "-c", "S1", "-l", text, "--provider", "geodes").code == 0


def test_an_archive_that_knows_places_is_asked_as_before(run, clients):
    assert run("search", "-c", "S1", "-l", "Cordoba", "--provider", "peps").code == 0
    assert "Cordoba" == clients.all[0].query.location
    assert run("search", "-c", "S1", "-l", "Cordoba", "--provider", "peps", "--buffer", "5km").code == 2


def test_an_archive_that_knows_places_may_take_another_one_of_the_name(run, clients):
    doubtful = run("search", "-c", "S1", "-l", "Cordoba,Toulouse", "--provider", "peps")
    assert "note: peps looks places up itself, and the place 'Cordoba' may be Córdoba, AR; Córdoba, ES" in doubtful.err
    for words in (["-l", "Toulouse"], ["-l", "Nowhere at all"], ["-l", "Cordoba", "-q"]):
        assert "note:" not in run("search", "-c", "S1", *words, "--provider", "peps").err


def test_an_order_has_the_place_in_full(run, terminal, tmp_path):
    terminal.append("1")
    order = tmp_path / "order.toml"
    done = run("order", "new", order, "-c", "S1", "-l", "Cordoba", "-l", "Foix", "--provider", "cdse", "-w", tmp_path)

    assert done.code == 0, done.err
    assert ("Córdoba, AR", "Foix") == read_order(order).query.location
