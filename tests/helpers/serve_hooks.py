"""Hooks for schemathesis: a description cannot say what an image is, so that many questions get one that is."""

import schemathesis


@schemathesis.hook
def map_body(context, body):
    """Let half of the questions be about an example."""
    if isinstance(body, dict) and body.get("text") and len(str(body["text"])) % 2 == 0:
        return {name: value for name, value in body.items() if name not in {"picture", "task", "size"}} | {
            "example": "objects"
        }
    return body
