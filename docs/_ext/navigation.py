"""The navigation of the site, and the pages that include files from outside ``docs``."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any, Final

DOCS: Final = Path(__file__).parent.parent

CONTENTS: Final = {
    "Tutorials": [
        "Release a secret <tutorial/release-a-secret>",
        "Attested channels <tutorial/attested-channel>",
    ],
    "How-to guides": [
        "how-to/pin-an-image",
        "Accept your pipeline's builds <how-to/only-what-our-pipeline-built>",
        "Release a new version <how-to/rolling-release>",
        "Serve from an enclave <how-to/enclave>",
        "Verify deployed enclaves <how-to/verify-deployed-enclaves>",
        "Attest EC2 instances <how-to/instance-attestation>",
        "Bind a KMS key <how-to/kms-key-policy>",
        "Share challenges <how-to/share-challenges>",
        "Check revocation <how-to/check-revocation>",
        "Show a report <how-to/show-a-report>",
        "Audit an archive <how-to/audit-an-archive>",
        "Rotate the root <how-to/rotate-the-root>",
    ],
    "Reference": [
        "Python API <reference/api/README>",
        "Command line <reference/cli>",
        "Codes <reference/codes>",
        "Rules <reference/rules>",
        "Policies <reference/policy>",
        "Signed measurements <reference/provenance>",
        "KMS key policies <reference/kms-policy>",
        "PCRs of an instance <reference/nitrotpm-pcrs>",
        "Results of an archive <reference/archive>",
        "Conformance vectors <reference/conformance>",
        "Platforms <reference/platforms>",
        "reference/glossary",
    ],
    "Background": [
        "explanation/what-is-proved",
        "explanation/assurance",
    ],
    "Project": [
        "Security <project/security>",
        "project/changelog",
        "Contributing <project/contributing>",
        "Genuine documents <project/genuine-documents>",
        "Proofs <project/proofs>",
        "Fuzzing <project/fuzzing>",
    ],
}

CONFORMANCE: Final = [
    "conformance/envelope",
    "conformance/signature",
    "conformance/payload",
    "conformance/certificates",
    "conformance/trust",
    "conformance/time",
    "conformance/names",
    "conformance/kinds",
    "conformance/requirements",
    "conformance/policy-files",
    "conformance/revocation",
    "conformance/images",
    "conformance/harnesses",
    "conformance/add-a-case",
    "conformance/report-a-result",
]
"""The pages below that of the conformance vectors, relative to it."""


def setup(app: Any) -> dict[str, bool]:
    """Connects this extension to a build."""
    app.connect("source-read", add_navigation)
    app.connect("source-read", lead_inside)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def add_navigation(app: Any, page: str, source: list[str]) -> None:
    """Ends the landing page, the index of the API and the vectors with the pages below them."""
    if page == app.config.root_doc:
        for caption, entries in CONTENTS.items():
            source[0] += toctree([*entries, *unnamed(entries, app.env.found_docs)], caption)
    elif page == "reference/api/README":
        source[0] += toctree(re.findall(r"^## \[.*\]\((.*)\.md\)$", source[0], re.MULTILINE))
    elif page == "reference/conformance":
        source[0] += toctree(CONFORMANCE)


def unnamed(entries: list[str], pages: set[str]) -> list[str]:
    """Returns the pages in the folder of these entries that none of them names."""
    named = {entry.rpartition("<")[2].rstrip(">") for entry in entries}
    folders = {name.rpartition("/")[0] for name in named}
    return sorted(p for p in pages - named if p.rpartition("/")[0] in folders)


def toctree(entries: list[str], caption: str = "") -> str:
    """Returns the directive for a part of the navigation."""
    options = [":hidden:", *([f":caption: {caption}"] if caption else [])]
    return "\n".join(["", "```{toctree}", *options, "", *entries, "```", ""])


def lead_inside(_: Any, page: str, source: list[str]) -> None:
    """Replaces links to files that a page of ``project`` includes by links to that page."""
    here = (DOCS / page).parent

    def replaced(found: re.Match[str]) -> str:
        inside = included().get((here / found[1]).resolve())
        return f"]({os.path.relpath(inside, here)}" if inside else found[0]

    source[0] = re.sub(r"\]\(((?:\.\./)+[^)#\s]+\.md)", replaced, source[0])


def included() -> dict[Path, Path]:
    """Returns the page that includes a file, by that file."""
    return {
        (page.parent / page.read_text(encoding="utf-8").split()[1]).resolve(): page
        for page in (DOCS / "project").glob("*.md")
    }
