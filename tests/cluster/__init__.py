"""Tests on a real YARN, and what other tests need to run there. A package, so that its conftest is not the one of all tests."""
