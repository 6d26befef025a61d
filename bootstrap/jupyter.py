"""The notebook of the project, put where JupyterHub on EMR finds it."""

from pathlib import Path

from bootstrap.aws import Account, code_of

NOTEBOOK = Path(__file__).parent / "notebook" / "fruits.ipynb"
# EMR's JupyterHub has one user at first, and jupyter-s3-conf keeps what users save in jupyter/USER of the bucket:
# https://docs.aws.amazon.com/emr/latest/ReleaseGuide/emr-jupyterhub-s3.html
KEY = f"jupyter/jovyan/{NOTEBOOK.name}"


def place(account: Account, bucket: str) -> bool:
    """Puts it into the bucket, unless there is one already: that may be the user's own work. Whether it did."""
    from botocore.exceptions import ClientError

    try:
        account.s3.put_object(Bucket=bucket, Key=KEY, Body=NOTEBOOK.read_bytes(), ContentType="application/x-ipynb+json", IfNoneMatch="*")
    except ClientError as refused:
        if code_of(refused) != "PreconditionFailed":
            raise
        return False
    return True
