"""What gpu_model.py counts: work of a link, kernels of networks and measurements, launches."""
