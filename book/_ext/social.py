"""Sphinx extension: links to a published book show its picture.

A picture for links needs a full address, so nothing is added until ``html: baseurl`` in
``_config.yml`` says where the book is published.
"""

PICTURE = "_static/social.png"


def add_picture(app, pagename, templatename, context, doctree):
    if app.config.html_baseurl:
        address = f"{app.config.html_baseurl.rstrip('/')}/{PICTURE}"
        tag = f'<meta property="og:image" content="{address}" />\n'
        context["metatags"] = context.get("metatags", "") + tag


def setup(app):
    app.connect("html-page-context", add_picture)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
