"""The pages."""

import hmac
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from typing import Any

import psycopg
from flask import Flask, abort, flash, redirect, render_template, request, session, url_for
from werkzeug.middleware.proxy_fix import ProxyFix
from werkzeug.wrappers import Response

from rooms import bookings, platform

app = Flask(__name__)
app.secret_key = platform.secret()
app.config.update(SESSION_COOKIE_NAME="rooms", SESSION_COOKIE_SAMESITE="Lax", MAX_CONTENT_LENGTH=64 * 1024)
app.wsgi_app = ProxyFix(app.wsgi_app, x_for=1, x_proto=1)  # type: ignore[method-assign]


@contextmanager
def database() -> Iterator[bookings.Connection]:
    """One connection per request: committed at the end, rolled back on an error."""
    with bookings.connect(platform.database()) as connection:
        yield connection


@app.before_request
def check_form() -> None:
    session.setdefault("token", secrets.token_hex(16))
    session.setdefault("owner", secrets.token_hex(16))
    if request.method == "POST" and not hmac.compare_digest(session["token"], request.form.get("token", "")):
        abort(403, "This form is too old. Go back, reload the page and send it again.")


@app.after_request
def set_headers(response: Response) -> Response:
    response.headers.setdefault("Cache-Control", "private, no-store")
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Content-Security-Policy"] = "default-src 'self'; frame-ancestors 'none'; base-uri 'none'"
    return response


@app.context_processor
def frame() -> dict[str, Any]:
    return {"ribbon": platform.ribbon(), "token": session.get("token", "")}


@app.errorhandler(psycopg.OperationalError)
def unavailable(error: psycopg.OperationalError) -> tuple[str, int]:
    app.logger.error("The database does not answer: %s", error)
    text = "The database does not answer right now. Please try again in a minute."
    return render_template("problem.html", title="A short break", text=text), 503


@app.errorhandler(403)
@app.errorhandler(404)
def problem(error: Any) -> tuple[str, int]:
    title = "This page does not exist" if error.code == 404 else "Nothing was changed"
    text = "There is no such page." if error.code == 404 else error.description
    return render_template("problem.html", title=title, text=text), error.code


@app.get("/")
def calendar() -> str:
    week = bookings.Week.of(_day(request.args.get("week", "")) or date.today())
    with database() as connection:
        return render_template(
            "calendar.html",
            week=week,
            today=date.today(),
            halves=bookings.HALVES,
            rooms=bookings.rooms(connection),
            booked=bookings.in_week(connection, week),
            owner=session["owner"],
        )


@app.get("/book/<int:room_id>/<day>/<half>")
def ask(room_id: int, day: str, half: str) -> str:
    with database() as connection:
        return render_template("book.html", who=session.get("who", ""), **_slot(connection, room_id, day, half))


@app.post("/book/<int:room_id>/<day>/<half>")
def book(room_id: int, day: str, half: str) -> Response | tuple[str, int]:
    who = request.form.get("who", "").replace("\0", "").strip()[:60]
    purpose = request.form.get("purpose", "").replace("\0", "").strip()[:120]
    with database() as connection:
        slot = _slot(connection, room_id, day, half)
        if not who:
            return render_template("book.html", who="", error="Enter your name.", **slot), 422
        session["who"] = who
        owner = session["owner"]
        done = bookings.book(
            connection, room_id=room_id, day=slot["day"], half=half, who=who, purpose=purpose, owner=owner
        )
    flash(f"{slot['room']['name']} is yours." if done else "Somebody was faster. Nothing was booked.")
    return redirect(url_for("calendar", week=slot["day"].isoformat()))


@app.post("/cancel/<int:booking_id>")
def cancel(booking_id: int) -> Response:
    with database() as connection:
        done = bookings.cancel(connection, booking_id=booking_id, owner=session["owner"])
    flash("The room is free again." if done else "Only who booked a room can cancel it. Nothing was changed.")
    week = _day(request.form.get("week", ""))
    return redirect(url_for("calendar", week=week.isoformat() if week else None))


@app.get("/health")
def health() -> tuple[dict[str, str], int]:
    try:
        with database() as connection:
            connection.execute("SELECT 1")
    except (psycopg.Error, RuntimeError) as error:
        app.logger.error("Health: %s", error)
        return {"status": "failing", "database": "down"}, 503
    return {"status": "ok", "database": "ok"}, 200


def _day(text: str) -> date | None:
    try:
        day = date.fromisoformat(text)
    except ValueError:
        return None
    return day if 2000 <= day.year <= 2100 else None


def _slot(connection: bookings.Connection, room_id: int, day: str, half: str) -> dict[str, Any]:
    """What the address names, or 404."""
    parsed = _day(day)
    found = bookings.room(connection, room_id) if room_id < 2**31 else None
    if parsed is None or found is None or half not in bookings.HALVES:
        abort(404)
    return {"room": found, "day": parsed, "half": half}
