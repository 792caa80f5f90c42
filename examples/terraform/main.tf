variable "administrators" {
  description = "ARNs of the roles that manage the key; none of their operations returns plaintext."
  type        = list(string)
}

variable "policy_editors" {
  description = "ARNs of the roles that may change the key policy, with MFA; apply this as one of them."
  type        = list(string)
}

# data.aws_iam_policy_document.attested is in attested.tf.
data "aws_iam_policy_document" "key" {
  source_policy_documents = [data.aws_iam_policy_document.attested.json]

  statement {
    sid    = "Administration"
    effect = "Allow"
    actions = [
      "kms:CancelKeyDeletion",
      "kms:DescribeKey",
      "kms:DisableKey",
      "kms:EnableKey",
      "kms:EnableKeyRotation",
      "kms:Encrypt",
      "kms:GetKeyPolicy",
      "kms:GetKeyRotationStatus",
      "kms:ListResourceTags",
      "kms:ScheduleKeyDeletion",
    ]
    resources = ["*"]

    principals {
      type        = "AWS"
      identifiers = var.administrators
    }
  }

  # Whoever can change the key policy can remove the condition on the image.
  statement {
    sid       = "PolicyEditing"
    effect    = "Allow"
    actions   = ["kms:PutKeyPolicy"]
    resources = ["*"]

    principals {
      type        = "AWS"
      identifiers = var.policy_editors
    }

    condition {
      test     = "Bool"
      variable = "aws:MultiFactorAuthPresent"
      values   = ["true"]
    }
  }
}

resource "aws_kms_key" "attested" {
  description         = "Decrypts only for one enclave image"
  policy              = data.aws_iam_policy_document.key.json
  enable_key_rotation = true
}

output "key_policy" {
  value = data.aws_iam_policy_document.key.json
}
