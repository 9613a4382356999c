"""Holds the RBM simulator against Google's documents, by Google's own Python client as it comes.

Called with the program: `conformance.py /path/to/musubi`. It starts a webhook and a simulator of its own, and says nothing but
what is wrong. Field names, enums and the signature are written out here as the documents have them.
"""

import base64
import hashlib
import hmac
import http.server
import io
import json
import queue
import signal
import subprocess
import sys
import tempfile
import threading

from google.oauth2.service_account import Credentials
from googleapiclient.discovery import build
from googleapiclient.errors import HttpError
from googleapiclient.http import MediaIoBaseUpload

TOKEN = "a client token"
AGENT = "conformance_agent"
SCOPE = "https://www.googleapis.com/auth/rcsbusinessmessaging"
FEATURES = {
    "REVOCATION", "RICHCARD_STANDALONE", "RICHCARD_CAROUSEL", "ACTION_CREATE_CALENDAR_EVENT", "ACTION_DIAL",
    "ACTION_OPEN_URL", "ACTION_SHARE_LOCATION", "ACTION_VIEW_LOCATION", "ACTION_OPEN_URL_IN_WEBVIEW", "PDF_IN_RICH_CARDS",
}
faults = []
events = queue.Queue()
challenges = []


def check(good, what):
    if not good:
        faults.append(what)


class Webhook(http.server.BaseHTTPRequestHandler):
    """A partner's webhook, by the documents: answers challenges, checks signatures, puts data into a queue."""

    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        answer = b""
        if "secret" in body:
            challenges.append(body)
            check(body.get("clientToken") == TOKEN, "the challenge has another client token")
            answer = body["secret"].encode()
        else:
            self.take(body)
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def take(self, body):
        message = body["message"]
        data = base64.b64decode(message["data"])
        signed = base64.b64encode(hmac.new(TOKEN.encode(), data, hashlib.sha512).digest()).decode()
        check(self.headers["X-Goog-Signature"] == signed, "X-Goog-Signature is not the HMAC-SHA512 of the decoded data")
        check(message["messageId"] == message["message_id"], "the envelope's two ids differ")
        check(message["publishTime"].endswith("Z"), "publishTime is no instant")
        check(message["attributes"].get("product") == "RBM", "attributes.product is not RBM")
        check({"type", "business_id", "project_number"} <= set(message["attributes"]), "attributes lack some")
        check(body["subscription"].startswith("projects/"), "subscription is no name")
        events.put(json.loads(data))

    def log_message(self, *_):
        pass


def started(program, folder, webhook):
    process = subprocess.Popen(
        [program, "carrier", "--rbm", "--data", folder, "--listen", "127.0.0.1:0", "--agent", AGENT,
         "--webhook", f"http://127.0.0.1:{webhook}/hook", "--client-token", TOKEN],
        stdout=subprocess.PIPE, text=True)
    for line in process.stdout:
        words = line.split()
        if words[:1] == ["API"]:
            threading.Thread(target=process.stdout.read, daemon=True).start()
            return process, words[1]
    sys.exit("the simulator does not start")


def next_event(**wanted):
    """The next event, which is of this kind and number."""
    try:
        event = events.get(timeout=20)
    except queue.Empty:
        faults.append(f"nothing came where {wanted} should")
        return {}
    for name, value in wanted.items():
        check(event.get(name) == value, f"{name} is {event.get(name)!r} where {value!r} should come")
    return event


def refused(status, name, call):
    try:
        call()
        faults.append(f"a call is taken that should be refused with {status} {name}")
    except HttpError as error:
        body = json.loads(error.content)["error"]
        check((error.status_code, body["code"], body["status"]) == (status, status, name),
              f"{body} where {status} {name} should come")
        check(isinstance(body["message"], str), "an error without a message")


def run(origin, account):
    credentials = Credentials.from_service_account_file(account, scopes=[SCOPE])
    rbm = build("rcsbusinessmessaging", "v1", credentials=credentials, static_discovery=False, cache_discovery=False,
                discoveryServiceUrl=f"{origin}/$discovery/rest?version=v1")
    messages, phone = rbm.phones().agentMessages(), "+818012345678"

    def send(number, message_id, body):
        return messages.create(parent=f"phones/{number}", messageId=message_id, agentId=AGENT, body=body).execute()

    card = {
        "title": "A card", "description": "and what it says",
        "media": {"height": "MEDIUM", "contentInfo": {"fileUrl": "https://example.com/a.png", "forceRefresh": False}},
        "suggestions": [{"reply": {"text": "Yes", "postbackData": "yes"}}],
    }
    actions = [
        {"openUrlAction": {"url": "https://example.com/", "application": "WEBVIEW", "webviewViewMode": "FULL"}},
        {"dialAction": {"phoneNumber": "+818011112222"}},
        {"viewLocationAction": {"latLong": {"latitude": 35.6, "longitude": 139.7}, "label": "here"}},
        {"shareLocationAction": {}},
        {"createCalendarEventAction": {"startTime": "2030-01-01T00:00:00Z", "endTime": "2030-01-01T01:00:00Z",
                                       "title": "t", "description": "d"}},
    ]
    actions = [{"action": {"text": f"a{at}", "postbackData": f"p{at}", "fallbackUrl": "https://example.com/", **it}}
               for at, it in enumerate(actions)]
    contents = [
        {"text": "Hello", "suggestions": actions},
        {"text": "no suggestions", "suggestions": []},
        {"contentInfo": {"fileUrl": "https://example.com/a.pdf", "thumbnailUrl": "https://example.com/t.png"}},
        {"richCard": {"standaloneCard": {"cardOrientation": "HORIZONTAL", "thumbnailImageAlignment": "LEFT",
                                         "cardContent": card}}},
        {"richCard": {"carouselCard": {"cardWidth": "SMALL", "cardContents": [card, card]}}},
    ]
    # Ids as Google's samples have them: a number, and a UUID as an integer with a letter.
    ids = ["123456661", "290637349830129034567890123456789012345a", "m-3", "m-4", "m-5"]
    for message_id, content in zip(ids, contents):
        sent = send(phone, message_id, {"contentMessage": content, "messageTrafficType": "TRANSACTION"})
        check(sent["name"] == f"phones/{phone}/agentMessages/{message_id}", f"name is {sent['name']}")
        check(sent["sendTime"].endswith("Z"), "sendTime is no instant")
        check(sent["contentMessage"] == content, "the content is not given back")
        delivered = next_event(eventType="DELIVERED", messageId=message_id, senderPhoneNumber=phone, agentId=AGENT)
        read = next_event(eventType="READ", messageId=message_id, senderPhoneNumber=phone, agentId=AGENT)
        for event in (delivered, read):
            check(set(event) == {"senderPhoneNumber", "eventType", "eventId", "messageId", "sendTime", "agentId"},
                  f"a user event has {sorted(event)}")
    check(len(challenges) == 1, f"{len(challenges)} challenges")

    answers = {"text": "?", "suggestions": [{"reply": {"text": "Yes", "postbackData": "yes"}}]}
    send("+818012343333", "asked", {"contentMessage": answers})
    for kind in ("DELIVERED", "READ"):
        next_event(eventType=kind, messageId="asked")
    said = next_event(senderPhoneNumber="+818012343333", agentId=AGENT)
    check(said.get("suggestionResponse") == {"postbackData": "yes", "text": "Yes", "type": "REPLY"},
          f"a tap is told as {said}")
    check(set(said) == {"senderPhoneNumber", "messageId", "sendTime", "agentId", "suggestionResponse"},
          f"a user message has {sorted(said)}")

    away = "+818012341111"
    send(away, "revoked", {"contentMessage": {"text": "a"}})
    name = f"phones/{away}/agentMessages/revoked"
    check(messages.delete(name=name, agentId=AGENT).execute() == {}, "a revocation is not answered with {}")
    refused(404, "NOT_FOUND", messages.delete(name=f"phones/{phone}/agentMessages/m-3", agentId=AGENT).execute)
    send(away, "over", {"contentMessage": {"text": "a"}, "ttl": "1s"})
    over = next_event(eventType="TTL_EXPIRATION_REVOKED", messageId="over", phoneNumber=away)
    check("senderPhoneNumber" not in over, "a server event names a sender")
    check(send(phone, "m-3", {"contentMessage": {"text": "again"}})["name"].endswith("/m-3"), "a repeated id is refused")

    capabilities = rbm.phones().getCapabilities(name=f"phones/{phone}", requestId="r", agentId=AGENT).execute()
    check(set(capabilities["features"]) == FEATURES, f"features are {capabilities['features']}")
    refused(404, "NOT_FOUND", rbm.phones().getCapabilities(
        name="phones/+818012340000", requestId="r", agentId=AGENT).execute)
    numbers = [f"+8180{number:08}" for number in range(5001, 5601)]
    for in_query, body in ((AGENT, {"users": numbers}), (None, {"users": numbers, "agentId": AGENT})):
        reached = rbm.users().batchGet(agentId=in_query, body=body).execute()
        check(set(reached) >= {"reachableUsers", "totalRandomSampleUserCount", "reachableRandomSampleUserCount"},
              f"batchGet answers {sorted(reached)}")
        check(reached["reachableUsers"] == numbers and reached["totalRandomSampleUserCount"] == 450,
              "batchGet reaches others")

    for event in ({"eventType": "IS_TYPING"}, {"eventType": "READ", "messageId": "u"}):
        rbm.phones().agentEvents().create(parent=f"phones/{phone}", eventId="e", agentId=AGENT, body=event).execute()
    tester = rbm.phones().testers().create(parent=f"phones/{phone}", agentId=AGENT, body={}).execute()
    check((tester["name"], tester["inviteStatus"]) == (f"phones/{phone}/testers", "PENDING"), f"a tester is {tester}")
    by_url = rbm.files().create(agentId=AGENT, body={"fileUrl": "https://example.com/a.png"}).execute()
    media = MediaIoBaseUpload(io.BytesIO(b"bytes"), mimetype="image/png")
    by_bytes = rbm.files().create(agentId=AGENT, media_body=media).execute()
    by_both = rbm.files().create(agentId=AGENT, body={"contentDescription": "c"}, media_body=media).execute()
    for file in (by_url, by_bytes, by_both):
        check(file["name"].startswith("files/"), f"a file is {file}")
        send(away, file["name"][6:], {"contentMessage": {"uploadedRbmFile": {"fileName": file["name"]}}})

    text = {"contentMessage": {"text": "a"}}
    for status, name, call in (
        (400, "INVALID_ARGUMENT", lambda: send(phone, "x", {"contentMessage": {"text": "a" * 3073}})),
        (400, "INVALID_ARGUMENT", lambda: send(phone, "x", {"contentMessage": {}})),
        (400, "INVALID_ARGUMENT", lambda: send(phone, "x", {**text, "ttl": "1296001s"})),
        (400, "INVALID_ARGUMENT", lambda: send("+0", "x", text)),
        (403, "PERMISSION_DENIED", messages.create(parent=f"phones/{phone}", messageId="x", body=text).execute),
        (404, "NOT_FOUND", lambda: send("+818012340000", "x", text)),
    ):
        refused(status, name, call)
    nobody = build("rcsbusinessmessaging", "v1", http=__import__("httplib2").Http(), static_discovery=False,
                   cache_discovery=False, discoveryServiceUrl=f"{origin}/$discovery/rest?version=v1")
    refused(401, "UNAUTHENTICATED", nobody.phones().getCapabilities(name=f"phones/{phone}", agentId=AGENT).execute)


def main():
    webhook = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Webhook)
    threading.Thread(target=webhook.serve_forever, daemon=True).start()
    with tempfile.TemporaryDirectory() as folder:
        process, origin = started(sys.argv[1], folder, webhook.server_port)
        try:
            run(origin, f"{folder}/service-account.json")
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=20)
    for fault in faults:
        print(fault)
    sys.exit(1 if faults else 0)


main()
