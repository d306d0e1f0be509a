"""Towns by name, from the gazetteer that is shipped."""

import math
import re
import tracemalloc

import pytest
import shapely
from hypothesis import assume, given
from hypothesis import strategies as st

from pepsasync.area import places
from pepsasync.area.places import Place, describe, find_place, fold, place_area
from pepsasync.errors import AreaError


@pytest.fixture(autouse=True, scope="module")
def _read_once():
    """The file is read anew for every name; here that would take most of the time."""
    towns = places._read_towns()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(places, "_read_towns", lambda: towns)
        yield


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("Toulouse", "Toulouse, FR", id="plain"),
        pytest.param("  tOULOUSE ", "Toulouse, FR", id="case-and-spaces"),
        pytest.param("Toulouse,FR", "Toulouse, FR", id="country-code"),
        pytest.param("toulouse, fra", "Toulouse, FR", id="country-code-of-three"),
        pytest.param("Toulouse (France)", "Toulouse, FR", id="country-name"),
        pytest.param("Tolosa de Llenguadoc", "Toulouse, FR", id="catalan"),
        pytest.param("Тулуза", "Toulouse, FR", id="cyrillic"),
        pytest.param("トゥールーズ", "Toulouse, FR", id="katakana"),
        pytest.param("Saint Étienne", "Saint-Étienne, FR", id="space-for-hyphen"),
        pytest.param("SAINT-ETIENNE", "Saint-Étienne, FR", id="no-accent"),
        pytest.param("St Etienne", "Saint-Étienne, FR", id="abbreviated"),
        pytest.param("L\u2019Isle d'Abeau", "L'Isle-d'Abeau, FR", id="apostrophes"),
        pytest.param("Straßburg", "Strasbourg, FR", id="sharp-s"),
        pytest.param("tromso", "Tromsø, NO", id="o-with-stroke"),
        pytest.param("LODZ", "Łódź, PL", id="l-with-stroke"),
        pytest.param("İSTANBUL", "Istanbul, TR", id="dotted-i"),
        pytest.param("Muenchen", "Munich, DE", id="umlaut-as-e"),
        pytest.param("Cologne", "Köln, DE", id="bigger-than-a-town-of-that-very-name"),
        pytest.param("Petropolis", "Petrópolis, BR", id="smaller-than-a-city-with-that-name-among-many"),
        pytest.param("Bra", "Bra, IT", id="town-like-a-country-code"),
        pytest.param("Paris, Texas", "Paris, TX, US", id="state"),
        pytest.param("Paris, TX, USA", "Paris, TX, US", id="state-and-country"),
        pytest.param("Washington, D.C.", "Washington, DC, US", id="dots"),
        pytest.param("Córdoba, Espagne", "Córdoba, ES", id="country-in-french"),
        pytest.param("Luxembourg", "Luxembourg, LU", id="city-state-before-its-namesakes"),
        pytest.param("Mexico, Mexico", "Mexico City, MX", id="town-named-like-its-country"),
    ],
)
def test_known_places(text, expected):
    assert expected == str(find_place(text))


def test_place_tells_where_it_is():
    place = find_place("Toulouse")

    assert Place("Toulouse", "FR", 43.6, 1.44, 510_000) == place


@pytest.mark.parametrize(
    ("text", "first", "others"),
    [
        pytest.param("Paris", "Paris, FR", {"Paris, TX, US", "Paris, CA"}, id="paris"),
        pytest.param("cordoba", "Córdoba, AR", {"Córdoba, ES", "Córdoba, MX"}, id="cordoba"),
        pytest.param("San José", "San Jose, CA, US", {"San José, CR", "San José, AR"}, id="san-jose"),
        pytest.param("Valencia", "Valencia, VE", {"Valencia, ES"}, id="valencia"),
        pytest.param("Brest", "Brest, BY", {"Brest, FR"}, id="brest"),
    ],
)
def test_of_several_the_biggest_is_meant_and_the_others_are_told(text, first, others):
    place = find_place(text)

    assert first == str(place)
    assert others <= set(map(str, place.others))
    assert len(place.others) <= 8
    assert not any(other.others for other in place.others)


def test_description_names_the_place_and_each_other_once():
    assert "place: Toulouse, FR (longitude 1.44, latitude 43.6)" == describe(find_place("Toulouse"))
    assert "place: Córdoba, ES (longitude -4.77, latitude 37.89)" == describe(find_place("Córdoba, ES"))

    several = describe(find_place("San José"))

    assert several.startswith("place: San Jose, CA, US (longitude -121.89, latitude 37.34), not San José, CR; ")
    assert 1 == several.count("San Jose, PH")


@pytest.mark.parametrize("text", ["Paris", "Cordoba", "San José", "Valencia", "Saint-Denis"])
def test_what_is_written_for_another_finds_it(text):
    for other in find_place(text).others:
        found = find_place(str(other))

        assert other in (found, *found.others) or (other.name, other.country) == (found.name, found.country)
        assert found.population >= other.population


@pytest.mark.parametrize(
    ("text", "words"),
    [
        pytest.param("", "is empty", id="empty"),
        pytest.param(" ,-' ", "is empty", id="no-letter"),
        pytest.param("Tolouse", "Did you mean Toulouse", id="typo"),
        pytest.param("Moulouse", "Toulouse", id="typo-in-the-first-letter"),
        pytest.param("Xyzzyqq", "is not known.*--lon and --lat", id="nothing-close"),
        pytest.param("x" * 500, r"'x+\.\.\.' is not known", id="long"),
        pytest.param("Toulouse, Spain", "There is Toulouse, FR", id="not-in-that-country"),
        pytest.param("Toulouse, Nowhere", "There is Toulouse, FR", id="no-such-country"),
        pytest.param("France", "country.*--bbox or --shape.*Paris", id="country"),
        pytest.param("usa", "country.*Washington", id="country-by-code"),
        pytest.param("Lebanon", "country.*Beirut", id="country-before-small-towns"),
        pytest.param("Antarctica", "country.*--shape$", id="no-capital"),
        pytest.param("Texas", "state.*--bbox", id="state"),
    ],
)
def test_refused(text, words):
    with pytest.raises(AreaError, match=words):
        find_place(text)


@given(st.text(max_size=80) | st.text("toulse, |\t\n-(')" + "çœß\ud800", max_size=20))
def test_any_text_is_a_place_or_an_area_error(text):
    try:
        place = find_place(text)
    except AreaError:
        return
    assert place.name
    assert place_area(place).is_valid


@given(st.text())
def test_fold_leaves_letters_and_digits_and_nothing_to_fold(text):
    folded = fold(text)

    assert folded == "" or folded.isalnum()
    assert folded == fold(folded)


@given(st.lists(st.text("abcdefghijklmnopqrstuvwxyzàéîõüçñ", min_size=3, max_size=8), min_size=2, max_size=4))
def test_case_spaces_hyphens_and_apostrophes_make_no_difference(words):
    expected = fold(" ".join(words))

    for sign in ("-", "'", "\u2019", "  ", "\u00a0", ". "):
        assert expected == fold(sign.join(words))
    assert expected == fold(" ".join(words).upper())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Ærøskøbing", "aeroskobing"),
        ("Œuf", "oeuf"),
        ("Gießen", "giessen"),
        ("Diyarbak\u0131r", "diyarbakir"),
        ("Seyðisfjörður", "seydisfjordur"),
        ("Wai\u02bbanae", "waianae"),
        ("Ste-Foy", "saintefoy"),
        ("\uff34\uff4f\uff4b\uff59\uff4f", "tokyo"),
        ("서울", "서울"),
    ],
)
def test_fold(text, expected):
    assert expected == fold(text)


def test_every_line_of_the_gazetteer_reads_and_is_folded_as_names_are_now():
    lines = places._read_towns().decode().splitlines()

    assert len(lines) > 60_000
    for line in lines[::50]:
        names, name, country, region, latitude, longitude, population = line.split("\t")
        assert names.strip("|").split("|") == [fold(each) for each in names.strip("|").split("|")]
        assert names.startswith(f"|{fold(name)}|")
        assert re.fullmatch("[A-Z]{2}", country)
        assert (len(region) == 2) is (country == "US")
        assert abs(float(latitude)) <= 90
        assert abs(float(longitude)) <= 180
        assert int(population) >= 0


def test_only_the_lines_that_match_are_taken_apart():
    tracemalloc.start()
    try:
        find_place("Toulouse")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak < 500_000  # a dictionary of all towns is a hundred times that


@pytest.mark.parametrize(
    ("population", "half_kilometres"),
    [
        pytest.param(0, 2.5, id="unknown"),
        pytest.param(510_000, 7.36, id="toulouse"),
        pytest.param(24_000_000, 25.0, id="shanghai"),
    ],
)
def test_area_grows_with_the_population(population, half_kilometres):
    west, south, east, north = place_area(Place("Town", "FR", 60.0, 10.0, population)).bounds

    assert pytest.approx(2 * half_kilometres / 111.2, rel=1e-3) == north - south
    assert pytest.approx(4 * half_kilometres / 111.2, rel=1e-3) == east - west


def test_area_is_around_the_centre_longitude_first():
    assert place_area(find_place("Toulouse")).contains(shapely.Point(1.44, 43.6))


def test_area_across_the_antimeridian_is_cut():
    area = place_area(Place("Waiyevo", "FJ", -16.79, -179.99, 5000))

    assert area.geom_type == "MultiPolygon"
    assert area.contains(shapely.Point(179.999, -16.79))
    assert area.bounds[0] == -180
    assert area.bounds[2] == 180


def test_area_of_a_place_out_of_range_is_refused():
    with pytest.raises(AreaError, match="the place Nowhere, XX"):
        place_area(Place("Nowhere", "XX", 89.999, 0.0, 5000))


@given(st.floats(-80, 80), st.floats(-180, 180), st.integers(0, 40_000_000))
def test_area_is_valid_and_small_anywhere(latitude, longitude, population):
    assume(abs(longitude) < 180)
    area = place_area(Place("Town", "FR", latitude, longitude, population))

    assert area.is_valid
    assert 0 < area.area < 0.45**2 / math.cos(math.radians(80))
    assert area.distance(shapely.Point(longitude, latitude)) < 1e-9
