"""The few requests of S3 that the tests need, signed with the standard library (Signature Version 4).

This client shares nothing with the tool, so that what is in a bucket is seen by other eyes. It tries nothing again.
"""

import datetime
import hashlib
import hmac
import http.client
import urllib.parse
import xml.etree.ElementTree

REGION = "us-east-1"


class Refused(Exception):
    """A reply that is no success."""

    def __init__(self, what, status, body):
        super().__init__(f"{what}: {status} {body[:300]!r}")
        self.status = status


def sign(method, host, path, query, body, key_id, secret, now):
    """The headers that make a request one of this client's."""
    time, day = now.strftime("%Y%m%dT%H%M%SZ"), now.strftime("%Y%m%d")
    digest = hashlib.sha256(body).hexdigest()
    headers = {"host": host, "x-amz-content-sha256": digest, "x-amz-date": time}
    names = ";".join(headers)
    request = "\n".join([method, path, query, *(f"{name}:{value}" for name, value in headers.items()), "", names, digest])
    scope = f"{day}/{REGION}/s3/aws4_request"
    text = "\n".join(["AWS4-HMAC-SHA256", time, scope, hashlib.sha256(request.encode()).hexdigest()])
    key = f"AWS4{secret}".encode()
    for part in (day, REGION, "s3", "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.digest(key, text.encode(), "sha256").hex()
    return {**headers, "authorization": f"AWS4-HMAC-SHA256 Credential={key_id}/{scope}, SignedHeaders={names}, Signature={signature}"}


def elements(xml_bytes, name):
    """Every element of this name, as a dictionary of the texts in it."""
    root = xml.etree.ElementTree.fromstring(xml_bytes)
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
    return [{child.tag: child.text or "" for child in found} for found in root.iter(name)]


class Bucket:
    def __init__(self, port, name, key_id, secret):
        self.port, self.name, self.key_id, self.secret = port, name, key_id, secret

    def request(self, method, key="", query=None, body=b"", headers=None):
        """Status, headers with small letters, body."""
        host = f"127.0.0.1:{self.port}"
        path = urllib.parse.quote(f"/{self.name}/{key}" if key else f"/{self.name}", safe="/-_.~")
        query = "&".join(f"{urllib.parse.quote(name, safe='')}={urllib.parse.quote(value, safe='')}" for name, value in sorted((query or {}).items()))
        signed = sign(method, host, path, query, body, self.key_id, self.secret, datetime.datetime.now(datetime.timezone.utc))
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method, f"{path}?{query}" if query else path, body or None, {**signed, **(headers or {})})
            reply = connection.getresponse()
            return reply.status, {name.lower(): value for name, value in reply.getheaders()}, reply.read()
        finally:
            connection.close()

    def ask(self, method, key="", **parts):
        status, headers, body = self.request(method, key, **parts)
        if status // 100 != 2:
            raise Refused(f"{method} {self.name}/{key}", status, body)
        return headers, body

    def create(self):
        self.ask("PUT")

    def put(self, key, body):
        self.ask("PUT", key, body=body)

    def get(self, key):
        return self.ask("GET", key)[1]

    def delete(self, key):
        self.ask("DELETE", key)

    def put_new(self, key, body):
        """Whether it was put: no object was there."""
        status, _, said = self.request("PUT", key, body=body, headers={"if-none-match": "*"})
        if status not in (200, 412):
            raise Refused(f"PUT {self.name}/{key} unless it is there", status, said)
        return status == 200

    def list(self, prefix=""):
        """Keys and sizes of all objects below."""
        found, query = {}, {"list-type": "2", "prefix": prefix}
        while True:
            _, body = self.ask("GET", query=query)
            found.update((entry["Key"], int(entry["Size"])) for entry in elements(body, "Contents"))
            (page,) = elements(body, "ListBucketResult")
            if page.get("IsTruncated") != "true":
                return found
            query["continuation-token"] = page["NextContinuationToken"]

    def objects(self, prefix):
        """All objects below, by their keys without the prefix."""
        return {key[len(prefix) :]: self.get(key) for key in self.list(prefix)}

    def begin_upload(self, key):
        """The id of a new upload in parts."""
        _, body = self.ask("POST", key, query={"uploads": ""})
        return elements(body, "InitiateMultipartUploadResult")[0]["UploadId"]

    def put_part(self, key, upload, number, body):
        """The part's tag."""
        return self.ask("PUT", key, query={"uploadId": upload, "partNumber": str(number)}, body=body)[0]["etag"]

    def complete(self, key, upload, tags):
        parts = "".join(f"<Part><PartNumber>{number}</PartNumber><ETag>{tag}</ETag></Part>" for number, tag in enumerate(tags, 1))
        return self.request("POST", key, query={"uploadId": upload}, body=f"<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>".encode())

    def uploads(self, prefix=""):
        """Keys of the uploads in parts that were begun and neither completed nor given up."""
        _, body = self.ask("GET", query={"uploads": "", "prefix": prefix})
        return sorted(entry["Key"] for entry in elements(body, "Upload"))
