"""Which file a model lives in. Adding a line here changes no existing result."""

# name -> (module, class); the module is imported when the model is built.
MODELS = {
    "mlp": ("fedgenbench.models.mlp", "MLP"),
    "fedpac_cnn": ("fedgenbench.models.cnn", "FedPACNet"),
    "bn_cnn": ("fedgenbench.models.cnn", "BatchNormCNN"),
    "resnet18": ("fedgenbench.models.resnet", "ResNet18"),
}
