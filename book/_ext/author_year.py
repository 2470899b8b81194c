"""Sphinx extension: references are labelled as the text cites them, "Kingma and Ba, 2015".

The list of references is a list for a screen reader too: docutils gives its entries a role that
may not hold the links back to the text.
"""

from collections import Counter
from string import ascii_lowercase

from pybtex.plugin import register_plugin
from pybtex.style.formatting.plain import Style as PlainStyle
from pybtex.style.labels import BaseLabelStyle


def names(entry):
    """Last names of the authors (or editors): one, two, or the first of many."""
    people = entry.persons.get("author") or entry.persons.get("editor") or []
    last = [" ".join(person.prelast_names + person.last_names) for person in people]
    if not last:
        return entry.fields.get("organization", entry.key)
    if len(last) > 2:
        return f"{last[0]} et al."
    return " and ".join(last)


class AuthorYearLabels(BaseLabelStyle):
    """Labels that tell two papers of the same people and year apart by a letter."""

    def format_labels(self, sorted_entries):
        labels = [f"{names(e)}, {e.fields.get('year', 'no date')}" for e in sorted_entries]
        total, seen = Counter(labels), Counter()
        for label in labels:
            letter = ascii_lowercase[seen[label]] if total[label] > 1 else ""
            seen[label] += 1
            yield label + letter


class AuthorYearStyle(PlainStyle):
    default_label_style = AuthorYearLabels


def make_list_items(app, pagename, templatename, context, doctree):
    if "body" in context:
        context["body"] = context["body"].replace('role="doc-biblioentry"', 'role="listitem"')


def setup(app):
    register_plugin("pybtex.style.formatting", "author_year", AuthorYearStyle)
    app.connect("html-page-context", make_list_items)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
