"""moto's server, with puts that are refused when the name is taken made one step, as they are in S3.

moto looks whether the name is taken, and puts some time later; of two that come at once both may be told that they won.
Bodies are read before one has its turn, so that whoever is slow to send holds up nobody.
"""

import io
import threading

import moto.server

TURN = threading.Lock()


class OneByOne(moto.server.DomainDispatcherApplication):
    def __call__(self, environ, start_response):
        if "HTTP_IF_NONE_MATCH" not in environ:
            return super().__call__(environ, start_response)
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        environ["wsgi.input"] = io.BytesIO(body)
        with TURN:
            return super().__call__(environ, start_response)


moto.server.DomainDispatcherApplication = OneByOne
moto.server.main()
