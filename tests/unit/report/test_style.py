import base64
import hashlib

import pytest

from nitro_attest.report.style import content_security_policy, style_sheet


@pytest.mark.parametrize(
    ("tone", "text"),
    [("verified", "VERIFIED:"), ("partly", "AUTHENTIC, but"), ("rejected", "REJECTED:")],
)
def test_the_line_on_printed_pages_has_the_verdict(tone, text):
    sheet = style_sheet(tone)
    assert f'content: "{text}' in sheet
    assert "BANNER" not in sheet


def test_the_sheet_loads_nothing_and_cannot_end_its_element():
    for tone in ("verified", "partly", "rejected"):
        assert not {"url(", "@import", "</", "<!--"} & set(style_sheet(tone).split())
        assert "url(" not in style_sheet(tone)
        assert "<" not in style_sheet(tone)


def test_the_policy_allows_the_sheet_and_nothing_else():
    sheet = style_sheet("verified")
    digest = base64.b64encode(hashlib.sha256(sheet.encode()).digest()).decode()
    assert content_security_policy(sheet) == (
        f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    )
