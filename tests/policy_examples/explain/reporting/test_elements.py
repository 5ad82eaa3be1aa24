from policy_examples.explain.reporting.elements import Html, code, element, join, table, void
from tests.policy_examples.explain.reading_html import Page


def test_texts_and_attributes_are_escaped_once():
    inner = element("b", '<i> & "x"')
    assert inner == "<b>&lt;i&gt; &amp; &quot;x&quot;</b>"
    assert element("p", inner, title='a "b" <c>') == f'<p title="a &quot;b&quot; &lt;c&gt;">{inner}</p>'


def test_an_attribute_that_is_true_has_no_value_and_one_that_is_none_is_left_out():
    assert element("video", controls=True, muted=False, poster=None) == "<video controls></video>"
    assert void("img", aria_label="x", class_="y", tabindex=0) == '<img aria-label="x" class="y" tabindex="0">'


def test_what_is_joined_is_html_and_stays_so():
    joined = join(["<", code("a"), Html("<hr>")], "")
    assert joined == "&lt;<code>a</code><hr>"
    assert element("p", joined) == "<p>&lt;<code>a</code><hr></p>"


def test_a_table_has_a_caption_and_headers_for_columns_and_rows():
    page = Page(table("Results", ("run", "success"), [("a", 1), ("b", 2)]))
    assert page.mistakes == []
    assert [header["scope"] for header in page.all("th")] == ["col", "col", "row", "row"]
    assert page.all("div")[0]["aria-label"] == "Table: Results"
