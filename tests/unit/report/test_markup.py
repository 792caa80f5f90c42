import pytest

from nitro_attest.report.markup import Markup, element


def test_children_and_attributes_are_escaped():
    assert element("p", '<b> & "', title='"><script>') == (
        '<p title="&quot;&gt;&lt;script&gt;">&lt;b&gt; &amp; "</p>'
    )


def test_only_markup_is_written_as_it_is():
    inner = element("b", "x")
    assert element("p", inner, None, [inner, "<"]) == "<p><b>x</b><b>x</b>&lt;</p>"
    assert element("p", str(inner)[:]) != element("p", inner)
    assert type(inner + "<i>") is str  # a sum is no longer markup


def test_names_of_attributes_and_empty_elements():
    written = element("td", class_="a", aria_label="b", data_x=None, tabindex=0)
    assert written == '<td class="a" aria-label="b" tabindex="0"></td>'
    assert element("br") == "<br>"


@pytest.mark.parametrize("character", "\0\n\x1b\x7f\u202e\u200b\ud800\ufeff")
def test_an_invisible_character_is_shown_as_its_escape(character):
    assert character not in element("p", character, title=character)


def test_a_letter_of_any_script_is_printed():
    assert element("p", "\u00e9\u4e2d") == Markup("<p>\u00e9\u4e2d</p>")
