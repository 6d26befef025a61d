"""What moto's account lacks of AWS's: quotas of EC2, and what a release of EMR holds. As AWS documents the answers."""

from typing import Any

import pytest
from moto.emr.responses import ElasticMapReduceResponse
from moto.servicequotas.models import ServiceQuotasBackend

APPLICATIONS = {"Hadoop": "3.4.2", "Spark": "3.5.6", "JupyterHub": "1.5.0", "Hive": "3.1.3"}
# https://docs.aws.amazon.com/emr/latest/ReleaseGuide/emr-spark810-release.html
OF_SPARK_8 = {
    "AmazonCloudWatchAgent": "1.300034.0",
    "Delta": "4.2.0",
    "Hudi": "1.1.1",
    "Iceberg": "1.11.0",
    "JupyterEnterpriseGateway": "2.6.0",
    "Livy": "0.9.0",
    "Spark": "4.1.1",
}
QUOTAS = {"L-1216C47A": 32.0, "L-34B43A08": 32.0}


def completed(patch: pytest.MonkeyPatch, quotas: dict[str, float] = QUOTAS) -> None:
    def get_service_quota(self: Any, service_code: str, quota_code: str) -> dict[str, Any]:  # noqa: ARG001
        assert service_code == "ec2"
        return {"ServiceCode": service_code, "QuotaCode": quota_code, "Value": quotas[quota_code]}

    def describe_release_label(self: Any) -> str:
        import json

        label = self._get_param("ReleaseLabel")
        held = OF_SPARK_8 if label.startswith("emr-spark-8.") else APPLICATIONS
        applications = [{"Name": name, "Version": version} for name, version in held.items()]
        return json.dumps({"ReleaseLabel": label, "Applications": applications})

    patch.setattr(ServiceQuotasBackend, "get_service_quota", get_service_quota)
    patch.setattr(ElasticMapReduceResponse, "describe_release_label", describe_release_label, raising=False)
