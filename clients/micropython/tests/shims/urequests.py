"""The little of `urequests` that the first program of a new device uses."""

import json

from espalier.http import Http


class Response:
    def __init__(self, status, body):
        self.status_code = status
        self.text = body.decode()

    def close(self):
        pass


def post(url, json=None):
    end = url.index("/", 8)
    http = Http(url[:end])
    status, _, body = http.request("POST", url[end:], _text(json))
    http.close()
    return Response(status, body)


def _text(value):
    return json.dumps(value)
