data "aws_iam_policy_document" "attested" {
  statement {
    sid       = "NitroEnclave"
    effect    = "Allow"
    actions   = ["kms:Decrypt"]
    resources = ["*"]

    principals {
      type        = "AWS"
      identifiers = ["arn:aws:iam::123456789012:role/Webserver"]
    }

    condition {
      test     = "StringEqualsIgnoreCase"
      variable = "kms:RecipientAttestation:ImageSha384"
      values   = ["465629e86606e26a5b2ba5331ea18d80b419a2b2a136918fafafcd24f0b39262717af643606d0d5b82a8c4a1c09accff"]
    }

    condition {
      test     = "StringEqualsIgnoreCase"
      variable = "kms:RecipientAttestation:PCR1"
      values   = ["45ea45e4d06bb411682f05f70895a639551eb9b0bccd4e7698182e288f2a36602c4023ad3e7b9c3c0fdabefd465d5506"]
    }

    condition {
      test     = "StringEqualsIgnoreCase"
      variable = "kms:RecipientAttestation:PCR2"
      values   = ["a919d0a5b993e68465b0c305340c039a0249cdf42f97e263cf09aec414a58bb6c2865f8c91778dc28a58fd328f9abab4"]
    }
  }
}
