"""FedGenBench: what diffusion models bring to federated learning, measured."""
