"""The training process: from reading pictures to a stored model, apart from the service."""
