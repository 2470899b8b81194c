"""Sphinx extension: the arrows that open a page's sub-pages in the sidebar have a name.

The theme makes each a ``<summary>`` with an icon and no text: a screen reader has nothing to say.
"""


def name_arrows(app, pagename, templatename, context, doctree):
    generate = context.get("generate_toctree_html")

    def generate_named(*args, **kwargs):
        navigation = generate(*args, **kwargs)
        for arrow in navigation.find_all("summary") if navigation else ():
            page = arrow.find_previous("a")
            arrow["aria-label"] = f"Pages of {page.get_text().strip()}" if page else "Pages"
        return navigation

    if generate is not None:
        context["generate_toctree_html"] = generate_named


def setup(app):
    app.connect("html-page-context", name_arrows, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
