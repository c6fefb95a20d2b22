CREATE TABLE rooms (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL UNIQUE,
    seats integer NOT NULL CHECK (seats > 0),
    about text NOT NULL
);

CREATE TABLE bookings (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    room_id integer NOT NULL REFERENCES rooms (id),
    day date NOT NULL,
    half text NOT NULL CHECK (half IN ('morning', 'afternoon')),
    who text NOT NULL CHECK (who <> ''),
    purpose text NOT NULL,
    owner text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (room_id, day, half)
);

INSERT INTO rooms (name, seats, about) VALUES
    ('Crow''s nest', 4, 'Top floor, a window on three sides'),
    ('Chart room', 8, 'Whiteboard wall and the big screen'),
    ('Galley', 12, 'Long table, next to the coffee'),
    ('Cabin', 2, 'For calls and for thinking');
