"""Archives by name: each name makes its own provider, any other is an error."""

import pytest

from pepsasync.config import Config
from pepsasync.credentials.lookup import Lookup
from pepsasync.errors import ConfigError
from pepsasync.http.client import Http
from pepsasync.providers import Choices, make_provider, provider_names, public_url


@pytest.mark.parametrize("root", [None, "https://archive.example/"])
@pytest.mark.parametrize("name", provider_names())
def test_a_name_makes_the_provider_of_that_name(name, root):
    assert make_provider(name, Http(Config()), Lookup.of(None), root).name == name


@pytest.mark.parametrize("root", [None, "https://archive.example/"])
@pytest.mark.parametrize("name", ["nasa", "", "PEPS"])
def test_any_other_name_is_an_error_wherever_its_root_is(name, root):
    with pytest.raises(ConfigError, match=r"there is no provider .*Known providers: geodes, cdse, peps, wekeo, asf"):
        make_provider(name, Http(Config()), Lookup.of(None), root)
    with pytest.raises(ConfigError, match="there is no provider"):
        public_url(name)


@pytest.mark.parametrize("restore", [True, False])
def test_what_the_user_chose_reaches_the_archive_that_knows_the_choice(restore):
    provider = make_provider("geodes", Http(Config()), Lookup.of(None), choices=Choices(restore=restore))
    assert provider.limits.stages is restore
