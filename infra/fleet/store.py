"""The object store of a fleet: moto's S3 with one bucket, as a WSGI application; `gunicorn infra.fleet.store:app`."""

from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from moto.s3.models import s3_backends

from infra.fleet.document import BACKUP_BUCKET, REGION

s3_backends[DEFAULT_ACCOUNT_ID]["aws"].create_bucket(BACKUP_BUCKET, REGION)
app = DomainDispatcherApplication(create_backend_app)
