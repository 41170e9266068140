"""The miniature unCLIP: the foundation model, with an image's embedding beside the prompt.

Its parts are those of Stable unCLIP (Ramesh et al., 2022; diffusers' ``StableUnCLIPImg2ImgPipeline``): a
CLIP image encoder, and a U-Net that takes a noised embedding and the noise's level.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fedgenbench.core.checkpoint import Checkpoint
from fedgenbench.core.streams import stream, torch_seed
from fedgenbench.images.pixels import encoded, moved, to_tensor
from fedgenbench.systems.foundation import networks
from fedgenbench.systems.foundation.captions import PROMPTS, captions, class_prompt, token_ids
from fedgenbench.systems.foundation.pool import Pool
from fedgenbench.systems.foundation.training import train
from fedgenbench.systems.foundation.unclip_settings import Encoder, UnCLIP
from fedgenbench.systems.foundation.unet import VALIDATION_DRAWS, snr_weights

BATCH = 256  # images embedded at once, where nothing is trained
LOGIT_SCALE = 2.6592  # CLIP's start: the logarithm of 1 / 0.07
# Of the noise on embeddings, as in Stable unCLIP 2.1.
NOISING = {"num_train_timesteps": 1000, "beta_schedule": "squaredcos_cap_v2"}
LEVELS = (0, 200, 500)  # of the noise, in the evidence: none, and what FedDISC draws and sends with


def image_encoder(settings: Encoder, seed: int) -> Any:
    """An untrained ``CLIPVisionModelWithProjection`` for images [B, 3, 32, 32] in [-1, 1]."""
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

    config = CLIPVisionConfig(
        hidden_size=settings.width,
        intermediate_size=4 * settings.width,
        num_hidden_layers=settings.layers,
        num_attention_heads=settings.heads,
        image_size=networks.EDGE,
        patch_size=settings.patch,
        projection_dim=settings.projection,
    )
    network = networks._seeded(lambda: CLIPVisionModelWithProjection(config), seed)
    generator = torch.Generator().manual_seed(torch_seed(seed, "class token"))
    token = network.vision_model.embeddings.class_embedding
    nn.init.normal_(token, std=settings.width**-0.5, generator=generator)  # as CLIP's
    return network


def time_projections(unet: Any) -> list[nn.Module]:
    """The layers that bring the embedding of time, and what is added to it, to each block."""
    return [module for name, module in unet.named_modules() if name.endswith("time_emb_proj")]


def conditional(unet: Any, width: int, seed: int) -> Any:
    """``unet`` with layers that add an embedding [B, 2 * width] to its embedding of the time.

    The last of them is zero: until it is trained, this is ``unet`` itself, whatever it is given.
    """
    from diffusers import UNet2DConditionModel

    # Names with an underscore are diffusers' own notes, as of which values are its defaults.
    config = {key: value for key, value in unet.config.items() if not key.startswith("_")}
    config["class_embed_type"] = "projection"
    config["projection_class_embeddings_input_dim"] = 2 * width
    network = networks._seeded(lambda: UNet2DConditionModel(**config), seed)
    added = network.class_embedding.state_dict()
    known = {f"class_embedding.{name}": tensor for name, tensor in added.items()}
    network.load_state_dict(unet.state_dict() | known)
    for tensor in network.class_embedding.linear_2.parameters():
        nn.init.zeros_(tensor)
    return network


def contrastive(a: Tensor, b: Tensor, same: Tensor, scale: Tensor) -> Tensor:
    """CLIP's loss (Radford et al., 2021, figure 3) of embeddings a and b, both [B, D].

    ``same`` bool [B, B], symmetric, says which pairs belong together; rows that do so with several
    are asked for all of them alike.
    """
    logits = scale * F.normalize(a, dim=1) @ F.normalize(b, dim=1).T
    target = same / same.sum(1, keepdim=True)
    return (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2


class Towers(nn.Module):
    """The image encoder, and what brings the frozen text encoder's output to its space."""

    def __init__(self, vision: nn.Module, text_width: int, width: int, seed: int):
        super().__init__()
        self.vision = vision
        self.text = networks._seeded(lambda: nn.Linear(text_width, width, bias=False), seed)
        self.scale = nn.Parameter(torch.tensor(LOGIT_SCALE))

    def loss(
        self, views: tuple[Tensor, Tensor], rows: Tensor, texts: Tensor, captions: Tensor
    ) -> Tensor:
        """The contrast of a view with its caption, plus that of two views [B, 3, H, W] of an image.

        ``texts`` [B, D] are outputs of the text encoder; ``rows`` and ``captions`` [B] number images
        and captions, so that what is equal is not held apart. The second contrast asks for
        what no caption tells, such as the style (SLIP: Mu et al., 2021, §3).
        """
        first, second = (self.vision(view).image_embeds for view in views)
        scale = self.scale.exp()
        told = contrastive(first, self.text(texts), captions[:, None] == captions, scale)
        return told + contrastive(first, second, rows[:, None] == rows, scale)


class Denoiser:
    """The U-Net ``unet`` with the frozen parts of ``base``, a foundation model, around it."""

    def __init__(self, base: Any, unet: Any, normalizer: Any):
        from diffusers import DDPMScheduler

        self.base, self.unet, self.normalizer = base, unet, normalizer
        self.noising = DDPMScheduler(**NOISING)
        self.schedule = DDPMScheduler(**networks.SCHEDULE)
        self.velocity = base.scheduler.config.prediction_type == "v_prediction"

    def conditions(self, embeddings: Tensor, levels: Tensor, noise: Tensor) -> Tensor:
        """What the U-Net takes [B, 2 D] for embeddings [B, D], noised to the levels int64 [B].

        As the pipeline's ``noise_image_embeddings``, which has one level for all: noise goes on the
        embedding at mean 0 and deviation 1, and the level is told as a time is.
        """
        from diffusers.models.embeddings import get_timestep_embedding

        scaled = self.normalizer.scale(embeddings)
        noisy = self.normalizer.unscale(self.noising.add_noise(scaled, noise, levels))
        width = embeddings.shape[1]
        told = get_timestep_embedding(levels, width, flip_sin_to_cos=True, downscale_freq_shift=0)
        return torch.cat([noisy, told], 1)

    def errors(
        self,
        latents: Tensor,
        tokens: Tensor,
        embeddings: Tensor,
        levels: Tensor,
        dropped: Tensor,
        generator: torch.Generator,
    ) -> tuple[Tensor, Tensor]:
        """Squared error of the prediction and time, both [B], of latents [B, C, h, w] at such times.

        Rows in ``dropped`` bool [B] get zeros for embedding and level, as the unconditional branch
        of the pipeline does.
        """
        device = latents.device
        t = torch.randint(len(self.schedule), (len(latents),), generator=generator).to(device)
        noise = torch.randn(latents.shape, generator=generator).to(device)
        blur = torch.randn(embeddings.shape, generator=generator).to(device)
        condition = self.conditions(embeddings, levels.to(device), blur)
        condition = condition.masked_fill(dropped[:, None].to(device), 0)
        with torch.no_grad():
            context = self.base.text_encoder(tokens).last_hidden_state
        noisy = self.schedule.add_noise(latents, noise, t)
        found = self.unet(noisy, t, encoder_hidden_states=context, class_labels=condition).sample
        target = self.schedule.get_velocity(latents, noise, t) if self.velocity else noise
        return F.mse_loss(found, target, reduction="none").mean((1, 2, 3)), t


def train_encoder(
    settings: UnCLIP,
    pool: Pool,
    base: Any,
    device: str,
    *,
    checkpoint: Checkpoint,
    tell: Callable[[int, str], None],
) -> tuple[Towers, list[dict[str, Any]]]:
    """The trained encoder with its text side, against the frozen text encoder of ``base``."""
    chosen, seed = settings.encoder, settings.seed
    towers = Towers(
        image_encoder(chosen, torch_seed(seed, "unclip", "encoder", "weights")),
        base.text_encoder.config.hidden_size,
        chosen.projection,
        torch_seed(seed, "unclip", "text", "weights"),
    ).to(device)
    seen, unseen = pool.part(held_out=False).of_a_class(), pool.part(held_out=True).of_a_class()
    images, unseen_images = to_tensor(seen.images), to_tensor(unseen.images)
    known, numbers = numbered(captioned(seen))
    unseen_known, unseen_numbers = numbered(captioned(unseen))
    texts, unseen_texts = pooled(base, known), pooled(base, unseen_known)

    def loss(generator: torch.Generator) -> Tensor:
        size = (chosen.training.batch_size,)
        rows = torch.randint(len(images), size, generator=generator)
        template = torch.randint(numbers.shape[1], size, generator=generator)
        one, other = (moved(images[rows], generator).to(device) for _ in range(2))
        chosen_captions = numbers[rows, template].to(device)
        return towers.loss((one, other), rows.to(device), texts[chosen_captions], chosen_captions)

    def validation() -> float:
        """Of all unseen images at once, with their full captions."""
        name = (seed, "unclip", "encoder", "validation")
        generator = torch.Generator().manual_seed(torch_seed(*name))
        views = unseen_images.to(device), moved(unseen_images, generator).to(device)
        rows = torch.arange(len(unseen_images), device=device)
        full = unseen_numbers[:, -1].to(device)
        return towers.loss(views, rows, unseen_texts[full], full).item()

    history = train(
        towers,
        loss,
        validation,
        chosen.training,
        stream=(seed, "unclip-encoder"),
        checkpoint=checkpoint,
        tell=tell,
    )
    return towers, history


def train_conditioning(
    settings: UnCLIP,
    pool: Pool,
    base: Any,
    vision: Any,
    device: str,
    *,
    checkpoint: Checkpoint,
    tell: Callable[[int, str], None],
) -> tuple[Denoiser, list[dict[str, Any]]]:
    """The U-Net of ``base`` with trained layers for embeddings by ``vision``, and the history.

    Besides these the projections learn through which the blocks see time and embedding; the rest
    stays as it is. The loss is the foundation's, with noise of a uniform level on each
    embedding, under the class's prompts alone: given its name, the frozen U-Net knows a training
    image by heart, and the embedding has little to tell. A row that is dropped has no prompt either:
    that is the unconditional branch of the pipeline. Validation is the plain squared error on unseen
    names under their class's prompt, with their own embeddings.
    """
    from diffusers.pipelines.stable_diffusion import StableUnCLIPImageNormalizer

    chosen, seed = settings.conditioning, settings.seed
    weights, variants = (
        torch_seed(seed, "unclip", "conditioning", name) for name in ("weights", "variants")
    )
    unet = conditional(base.unet, settings.encoder.projection, weights).to(device)
    learning = nn.ModuleList([unet.class_embedding, *time_projections(unet)])
    unet.requires_grad_(False)
    learning.requires_grad_(True)

    seen = pool.part(held_out=False).of_a_class()
    images, shifts = to_tensor(seen.images), torch.Generator().manual_seed(variants)
    versions = [images, *(moved(images, shifts) for _ in range(chosen.variants - 1))]
    latents = torch.stack([scaled_latents(base, version) for version in versions])
    embeddings = torch.stack([embedded(vision, version) for version in versions])
    prompts = [[prompt.format(label=pool.classes[y]) for prompt in PROMPTS] for y in seen.labels]
    ids = torch.stack([token_ids(base.tokenizer, row) for row in prompts]).to(device)
    empty = token_ids(base.tokenizer, [""]).to(device)

    normalizer = StableUnCLIPImageNormalizer(settings.encoder.projection).to(device)
    normalizer.requires_grad_(False)
    normalizer.mean.copy_(embeddings.flatten(0, 1).mean(0))
    normalizer.std.copy_(embeddings.flatten(0, 1).std(0))
    denoiser = Denoiser(base, unet, normalizer)
    weight = snr_weights(denoiser.schedule, denoiser.velocity).to(device)

    def loss(generator: torch.Generator) -> Tensor:
        size = (chosen.training.batch_size,)
        rows = torch.randint(len(images), size, generator=generator)
        version = torch.randint(chosen.variants, size, generator=generator)
        template = torch.randint(ids.shape[1], size, generator=generator)
        levels = torch.randint(len(denoiser.noising), size, generator=generator)
        dropped = torch.rand(size, generator=generator) < chosen.dropout
        tokens = torch.where(dropped[:, None].to(device), empty, ids[rows, template])
        error, t = denoiser.errors(
            latents[version, rows], tokens, embeddings[version, rows], levels, dropped, generator
        )
        return (weight[t] * error).mean()

    unseen = pool.part(held_out=True).of_a_class()
    own = embedded(vision, to_tensor(unseen.images))

    def validation() -> float:
        return validation_errors(settings, denoiser, unseen, own, None).mean().item()

    history = train(
        learning,
        loss,
        validation,
        chosen.training,
        stream=(seed, "unclip-conditioning"),
        checkpoint=checkpoint,
        tell=tell,
    )
    return denoiser, history


@torch.no_grad()
def validation_errors(
    settings: UnCLIP, denoiser: Denoiser, unseen: Pool, embeddings: Tensor, level: int | None
) -> Tensor:
    """Squared error [N] of each image under its class's prompt and its row of ``embeddings``.

    Each is the mean over a few noises and times, the same whatever the embeddings; ``level`` is that
    of the embeddings' noise, None for any.
    """
    base = denoiser.base
    name = (settings.seed, "unclip", "conditioning", "validation")
    generator = torch.Generator().manual_seed(torch_seed(*name))
    tokens = token_ids(base.tokenizer, [class_prompt(unseen.classes[y]) for y in unseen.labels])
    latents = scaled_latents(base, to_tensor(unseen.images))
    found = []
    for _ in range(VALIDATION_DRAWS):
        levels = torch.randint(len(denoiser.noising), (len(latents),), generator=generator)
        levels = levels if level is None else torch.full_like(levels, level)
        kept = torch.zeros(len(latents), dtype=torch.bool)
        found.append(
            denoiser.errors(
                latents, tokens.to(latents.device), embeddings, levels, kept, generator
            )[0]
        )
    return torch.stack(found).mean(0)


def captioned(part: Pool) -> list[list[str]]:
    """The captions of each drawing, one per template."""
    return [
        captions(part.classes[label], name, kind)
        for label, name, kind in zip(part.labels, part.names, part.kinds, strict=True)
    ]


def numbered(rows: list[list[str]]) -> tuple[list[str], Tensor]:
    """Every caption once, and its number for each row and template, int64 [rows, templates]."""
    texts = sorted({text for row in rows for text in row})
    number = {text: position for position, text in enumerate(texts)}
    return texts, torch.tensor([[number[text] for text in row] for row in rows])


@torch.no_grad()
def pooled(base: Any, texts: list[str]) -> Tensor:
    """Outputs of the text encoder [len(texts), D], one for a whole text."""
    ids = token_ids(base.tokenizer, texts).to(base.text_encoder.device)
    return torch.cat([base.text_encoder(part).pooler_output for part in ids.split(BATCH)])


@torch.no_grad()
def embedded(vision: Any, images: Tensor) -> Tensor:
    """Embeddings [N, D] of images [N, 3, 32, 32] in [-1, 1]."""
    parts = [vision(part.to(vision.device)).image_embeds for part in images.split(BATCH)]
    return torch.cat(parts)


def scaled_latents(base: Any, images: Tensor) -> Tensor:
    """Latents [N, C, h, w] of images, of about unit deviation."""
    return encoded(base.vae, images) * base.vae.config.scaling_factor


def assemble(base: Any, vision: Any, denoiser: Denoiser) -> Any:
    """A ``StableUnCLIPImg2ImgPipeline`` of the parts, with the sampler of ``base``."""
    from diffusers import StableUnCLIPImg2ImgPipeline
    from transformers import CLIPImageProcessor

    half = [0.5, 0.5, 0.5]  # the encoder takes pixels in [-1, 1]
    edge = networks.EDGE
    return StableUnCLIPImg2ImgPipeline(
        feature_extractor=CLIPImageProcessor(
            size={"shortest_edge": edge},
            crop_size={"height": edge, "width": edge},
            image_mean=half,
            image_std=half,
        ),
        image_encoder=vision,
        image_normalizer=denoiser.normalizer,
        image_noising_scheduler=denoiser.noising,
        tokenizer=base.tokenizer,
        text_encoder=base.text_encoder,
        unet=denoiser.unet,
        scheduler=base.scheduler,
        vae=base.vae,
    )


def evidence(settings: UnCLIP, pool: Pool, towers: Towers, denoiser: Denoiser) -> dict[str, Any]:
    """What encoder and U-Net make of validation images, whose names no training step saw.

    Of the encoder: the share of images nearest to their class's prompt, to their own caption and to
    themselves mirrored and shifted; each with chance. Of the U-Net: the squared error of the
    foundation model, and, by level of the embedding's noise, of this one with the own embedding or
    that of another image of the same class in another style, once of the same name and once of
    another; the difference, own minus other, with its standard error.
    """
    unseen = pool.part(held_out=True).of_a_class()
    images, base = to_tensor(unseen.images), denoiser.base
    own = embedded(towers.vision, images)
    weights = torch_seed(settings.seed, "unclip", "conditioning", "weights")
    untrained = conditional(base.unet, settings.encoder.projection, weights).to(own.device)
    foundation = Denoiser(base, untrained, denoiser.normalizer)
    found: dict[str, Any] = {
        "encoder": _recognised(settings, unseen, towers, base, own),
        "foundation": validation_errors(settings, foundation, unseen, own, 0).mean().item(),
        "levels": {},
    }
    for level in LEVELS:
        with_own = validation_errors(settings, denoiser, unseen, own, level)
        row: dict[str, Any] = {"own": with_own.mean().item()}
        for kind, same_name in (("same_name", True), ("other_name", False)):
            pairs = _others(settings, unseen, same_name)
            mine, other = pairs.T
            embeddings = own.clone()
            embeddings[mine] = own[other]
            with_other = validation_errors(settings, denoiser, unseen, embeddings, level)[mine]
            gap = with_own[mine] - with_other
            row[f"other_style_{kind}"] = {
                "images": len(mine),
                "own": with_own[mine].mean().item(),
                "other": with_other.mean().item(),
                "difference": gap.mean().item(),
                "standard_error": gap.std().item() / len(mine) ** 0.5,
            }
        found["levels"][str(level)] = row
    return found


@torch.no_grad()
def _recognised(
    settings: UnCLIP, unseen: Pool, towers: Towers, base: Any, own: Tensor
) -> dict[str, float]:
    name = (settings.seed, "unclip", "evidence", "views")
    generator = torch.Generator().manual_seed(torch_seed(*name))
    views = embedded(towers.vision, moved(to_tensor(unseen.images), generator))
    prompts = pooled(base, [class_prompt(label) for label in unseen.classes[:-1]])
    texts, numbers = numbered([row[-1:] for row in captioned(unseen)])

    def nearest(targets: Tensor) -> Tensor:
        return (F.normalize(own, dim=1) @ F.normalize(targets, dim=1).T).argmax(1)

    labels = torch.from_numpy(unseen.labels).to(own.device)
    captioned_by = nearest(towers.text(pooled(base, texts)))
    rows = torch.arange(len(own), device=own.device)
    return {
        "images": len(own),
        "class_accuracy": (nearest(towers.text(prompts)) == labels).double().mean().item(),
        "class_chance": 1 / len(prompts),
        "caption_accuracy": (captioned_by == numbers[:, 0].to(own.device)).double().mean().item(),
        "caption_chance": 1 / len(texts),
        "view_accuracy": (nearest(views) == rows).double().mean().item(),
        "view_chance": 1 / len(own),
    }


def _others(settings: UnCLIP, unseen: Pool, same_name: bool) -> Tensor:
    """Pairs of rows [n, 2] of one class in two styles, of one name or of two; the second is drawn."""
    pairs = []
    for row, (label, name, style) in enumerate(
        zip(unseen.labels, unseen.names, unseen.styles, strict=True)
    ):
        fitting = [
            other
            for other in range(len(unseen.names))
            if unseen.labels[other] == label
            and unseen.styles[other] != style
            and (unseen.names[other] == name) == same_name
        ]
        if fitting:
            drawn = stream(settings.seed, "unclip", "evidence", same_name, row)
            pairs.append((row, fitting[drawn.integers(len(fitting))]))
    return torch.tensor(pairs)
