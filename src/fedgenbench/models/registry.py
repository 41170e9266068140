"""Which file a model lives in. Adding a line here changes no existing result."""

from typing import Literal

# name -> (module, class); the module is imported when the model is built. Those
# of FederatedModel can be trained by the engines of the rounds, the others by a plain loop alone.
MODELS = {
    "mlp": ("fedgenbench.models.mlp", "MLP"),
    "wide_mlp": ("fedgenbench.models.mlp", "WideMLP"),
    "fedpac_cnn": ("fedgenbench.models.cnn", "FedPACNet"),
    "bn_cnn": ("fedgenbench.models.cnn", "BatchNormCNN"),
    "resnet18": ("fedgenbench.models.resnet", "ResNet18"),
    "resnet34": ("fedgenbench.models.resnets", "ResNet34"),
    "resnet50": ("fedgenbench.models.resnets", "ResNet50"),
    "mobilenet_v2": ("fedgenbench.models.mobilenet", "MobileNetV2"),
    "mobilenet_v3_small": ("fedgenbench.models.mobilenet", "MobileNetV3Small"),
    "vgg16": ("fedgenbench.models.vgg", "VGG16"),
    "shufflenet_v2": ("fedgenbench.models.shufflenet", "ShuffleNetV2"),
    "mini_resnet": ("fedgenbench.models.resnets", "MiniResNet"),
    "mini_resnet50": ("fedgenbench.models.resnets", "MiniResNet50"),
    "mini_mobilenet_v2": ("fedgenbench.models.mobilenet", "MiniMobileNetV2"),
    "mini_mobilenet_v3": ("fedgenbench.models.mobilenet", "MiniMobileNetV3"),
    "mini_shufflenet": ("fedgenbench.models.shufflenet", "MiniShuffleNet"),
    "mini_vgg": ("fedgenbench.models.vgg", "MiniVGG"),
    "mini_vit": ("fedgenbench.models.vit", "MiniViT"),
}
FederatedModel = Literal["mlp", "wide_mlp", "fedpac_cnn", "bn_cnn", "resnet18"]
