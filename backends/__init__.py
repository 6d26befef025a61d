"""The engines that distribute the work. Driver side only: no worker imports this package."""

from backends import spark_home

spark_home.prefer()  # here: before any module of this package imports pyspark
