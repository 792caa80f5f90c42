"""Every parser of foreign bytes, by name: what is tried on it and what must hold."""

from targets import certificates, documents, images, messages, provenance, texts, tls
from targets.base import Target

TARGETS: dict[str, Target] = {
    **documents.TARGETS,
    **certificates.TARGETS,
    **images.TARGETS,
    **texts.TARGETS,
    **messages.TARGETS,
    **tls.TARGETS,
    **provenance.TARGETS,
}

__all__ = ["TARGETS", "Target"]
