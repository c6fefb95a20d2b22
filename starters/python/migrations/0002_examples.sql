-- A few bookings in the week of the first deploy, so that the calendar is not empty. Nobody owns them.
INSERT INTO bookings (room_id, day, half, who, purpose, owner)
SELECT rooms.id, date_trunc('week', now())::date + example.weekday, example.half, example.who, example.purpose, 'example'
FROM (VALUES
    ('Chart room', 0, 'morning', 'Mara Okafor', 'Week planning'),
    ('Galley', 0, 'afternoon', 'Tomás Rey', 'Customer visit'),
    ('Cabin', 1, 'morning', 'Ilya Brandt', 'Interview'),
    ('Crow''s nest', 1, 'afternoon', 'Sanne de Vries', 'Design review'),
    ('Chart room', 2, 'morning', 'Ilya Brandt', 'Sprint 42 review'),
    ('Galley', 2, 'morning', 'Mara Okafor', 'Breakfast for everyone'),
    ('Cabin', 3, 'afternoon', 'Priya Patel', ''),
    ('Crow''s nest', 3, 'morning', 'Tomás Rey', 'Route planning'),
    ('Chart room', 4, 'afternoon', 'Sanne de Vries', 'Demo'),
    ('Galley', 4, 'afternoon', 'Priya Patel', 'Friday coffee')
) AS example (room, weekday, half, who, purpose)
JOIN rooms ON rooms.name = example.room
ON CONFLICT DO NOTHING;
