"""Sphinx extension: the package's docstrings are read as NumPy's convention means them.

A name in single backticks is a link where the package documents it, and plain code where it is
an argument. A type such as ``array, shape (n,)`` is prose. Both are left as text where nothing of
that name exists, so that a build which warns about missing targets warns about links only. A name
that starts with ``optlearn`` can only be a link.
"""

from sphinx.domains.python import PyObject


def leave_as_text(app, env, node, contnode):
    is_prose = node.get("reftype") in ("class", "obj", "data")
    if node.get("refdomain") == "py" and is_prose:
        return None if node["reftarget"].startswith("optlearn") else contnode
    return None


def name_attributes():
    """NumPy's section is called Attributes; Sphinx would print Variables."""
    for kind in PyObject.doc_field_types:
        if kind.name == "variable":
            kind.label = "Attributes"


def setup(app):
    name_attributes()
    app.config.default_role = "py:obj"
    app.connect("missing-reference", leave_as_text)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
