"""The sandbox: disposable, confined processes that decode, the pool of them, and the protocol that they speak."""
