"""The documentation site: ``sphinx-build -W --keep-going docs OUTPUT``.

The pages are plain Markdown, so that they can be read on a forge too. What only the site needs is
here: the navigation, and in ``_ext`` the cross references to public names. A build uses no network.
"""

import sys
from importlib.metadata import version as version_of
from pathlib import Path

from pygments.lexers.special import TextLexer

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

project = "nitro-attest"
copyright = "The nitro-attest authors"
release = version = version_of("nitro-attest")

extensions = ["myst_parser", "sphinxext.opengraph", "navigation", "public_names"]
root_doc = "index"
exclude_patterns = ["_*", "man"]
nitpicky = True
nitpick_ignore_regex = [
    # Python and these packages have no inventory here: it would have to be downloaded.
    ("py:class", r"datetime|timedelta|Path|os\.PathLike|(asyncio|socket|ssl)\.\w+|WSGIApplication"),
    ("py:class", r"(httpx|pa|requests|urllib3)\.\w+|DataFrame"),
    # cryptography
    ("py:class", r"(x509|rsa)\.\w+|(Ed25519|X25519|EllipticCurve)PublicKey|PublicKeyTypes|Suite"),
    # Type variables have no documentation.
    ("py:class", r"_\w*T"),
]

myst_heading_anchors = 4
python_maximum_signature_line_length = 88  # as on the Markdown pages: LINE of make_api_pages.py
add_module_names = False
toc_object_entries = False  # every object already has a heading

html_theme = "furo"
html_title = f"nitro-attest {release}"
html_favicon = "_static/favicon.svg"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_js_files = ["site.js"]
html_copy_source = False
html_show_sphinx = False
pygments_dark_style = "github-dark"

ogp_image = "_static/social-card.png"
ogp_image_alt = "nitro-attest: verify AWS Nitro attestation documents"
ogp_social_cards = {"enable": False}  # these would need matplotlib


def setup(app):
    """Registers the language of the blocks in explanation/mutants.md as plain text."""
    app.add_lexer("mutants", TextLexer)
