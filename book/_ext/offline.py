"""Sphinx extension: no page of the built book asks the network for anything.

Formulas are typeset by one self-contained MathJax file, copied from the sphinx-mathjax-offline
wheel. sphinx-thebe, which Jupyter Book v1 always loads, wants a server: its scripts are dropped.
The theme brings its icons twice, as a font and as a script of 1.5 MB: the font is enough.
"""

from importlib.util import find_spec
from pathlib import Path
from shutil import copyfile

MATHJAX = "tex-svg-full.js"

# A page read from the disk may not fetch its neighbours: search then shows titles only.
SEARCH_FROM_DISK = (
    'if (location.protocol === "file:") DOCUMENTATION_OPTIONS.SHOW_SEARCH_SUMMARY = false;'
)


def share_handlers(app, config):
    """Nodes that an extension knows how to write only for one format are written as in HTML."""
    handlers = app.registry.translation_handlers
    for name in ("singlehtml", "epub", "gettext"):
        if name in handlers:
            handlers[name] = {**handlers.get("html", {}), **handlers[name]}


def copy_mathjax(app):
    if app.builder.format == "html":
        source = (
            Path(find_spec("sphinx-mathjax-offline").origin).parent / "static/mathjax" / MATHJAX
        )
        static = Path(app.outdir) / "_static"
        static.mkdir(parents=True, exist_ok=True)
        copyfile(source, static / MATHJAX)


def empty_icon_script(app, exception):
    script = Path(app.outdir) / "_static/scripts/fontawesome.js"
    if script.exists():
        script.write_text("", encoding="utf-8")


def drop_thebe(app, pagename, templatename, context, doctree):
    def keep(asset):
        body = getattr(asset, "attributes", {}).get("body") or ""
        return "thebe" not in f"{getattr(asset, 'filename', asset)}{body}".lower()

    for kind in ("script_files", "css_files"):
        context[kind][:] = [asset for asset in context[kind] if keep(asset)]


def setup(app):
    app.config.mathjax_path = MATHJAX
    app.set_html_assets_policy("always")
    app.add_js_file(None, body=SEARCH_FROM_DISK, priority=900)
    app.connect("config-inited", share_handlers, priority=900)
    app.connect("builder-inited", copy_mathjax)
    app.connect("html-page-context", drop_thebe, priority=900)
    app.connect("build-finished", empty_icon_script)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
