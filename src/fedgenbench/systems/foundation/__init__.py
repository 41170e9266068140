"""The foundation model: a miniature Stable Diffusion, trained on the public styles of EmojiDomains.

WarmFed and FedLMG put Stable Diffusion on the server. At embedded scale its place is taken by a
``StableDiffusionPipeline`` of the same parts for 32×32 pixels (docs/foundation.md).
"""
