"""Every error that zancudo raises on purpose.

ZancudoError
├── ConfigError      settings, command lines, recipes: the operator can mend them
├── DataError        pictures, labels, data sets
├── BundleError      a model file: missing, corrupt, foreign, of another schema
├── SourceError      a camera, video or folder that gives no pictures
├── DeliveryError    a broker that can't be reached or refuses
├── StoreError       an outbox or database that can't be read or written
└── MessageError     an MQTT payload or topic that is malformed or foreign
"""


class ZancudoError(Exception):
    """Root of the tree; its text names the thing, its place and the next step."""


class ConfigError(ZancudoError):
    """A setting, flag or recipe is wrong."""


class DataError(ZancudoError):
    """A picture, label or data set is wrong."""


class BundleError(ZancudoError):
    """A model file can't be used."""


class SourceError(ZancudoError):
    """A picture source gives no pictures."""


class DeliveryError(ZancudoError):
    """A broker can't be reached or refuses."""


class StoreError(ZancudoError):
    """An outbox or database can't be read or written."""


class MessageError(ZancudoError):
    """A payload or topic is malformed or foreign."""
