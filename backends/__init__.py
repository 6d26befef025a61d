"""The engines that distribute the work. Driver side only: no worker imports this package."""
