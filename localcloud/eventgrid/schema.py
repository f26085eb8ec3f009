"""The tables in which topics, subscriptions, events and what became of them are kept."""

SCHEMA = """
    CREATE TABLE IF NOT EXISTS topics (
        name TEXT PRIMARY KEY COLLATE NOCASE,
        document TEXT NOT NULL,
        declared INTEGER NOT NULL,
        published INTEGER NOT NULL DEFAULT 0,
        unmatched INTEGER NOT NULL DEFAULT 0,
        last_published_at REAL
    ) STRICT;
    CREATE TABLE IF NOT EXISTS subscriptions (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        topic TEXT NOT NULL COLLATE NOCASE,
        name TEXT NOT NULL COLLATE NOCASE,
        document TEXT NOT NULL,
        declared INTEGER NOT NULL,
        state TEXT NOT NULL,
        matched INTEGER NOT NULL DEFAULT 0,
        delivered INTEGER NOT NULL DEFAULT 0,
        failed INTEGER NOT NULL DEFAULT 0,
        dead_lettered INTEGER NOT NULL DEFAULT 0,
        dropped INTEGER NOT NULL DEFAULT 0,
        last_error TEXT,
        last_error_at REAL,
        last_delivered_at REAL,
        UNIQUE (topic, name)
    ) STRICT;
    CREATE TABLE IF NOT EXISTS events (
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        guid TEXT NOT NULL,
        published_at REAL NOT NULL,
        body TEXT NOT NULL
    ) STRICT;
    CREATE TABLE IF NOT EXISTS deliveries (
        subscription INTEGER NOT NULL,
        event INTEGER NOT NULL,
        due_at REAL NOT NULL,
        attempts INTEGER NOT NULL DEFAULT 0,
        attempted_at REAL,
        outcome TEXT,
        PRIMARY KEY (subscription, event)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX IF NOT EXISTS deliveries_due ON deliveries (subscription, due_at, event);
    CREATE INDEX IF NOT EXISTS deliveries_of_event ON deliveries (event);
    CREATE TABLE IF NOT EXISTS dead_letters (
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        guid TEXT NOT NULL,
        subscription INTEGER NOT NULL,
        topic TEXT NOT NULL,
        name TEXT NOT NULL,
        container TEXT,
        event_id TEXT NOT NULL,
        event_type TEXT NOT NULL,
        subject TEXT NOT NULL,
        body TEXT,
        reason TEXT NOT NULL,
        outcome TEXT,
        attempts INTEGER NOT NULL,
        published_at REAL NOT NULL,
        attempted_at REAL,
        given_up_at REAL NOT NULL,
        due_at REAL NOT NULL,
        status TEXT NOT NULL,
        blob TEXT
    ) STRICT;
    CREATE INDEX IF NOT EXISTS dead_letters_due ON dead_letters (due_at) WHERE status = 'waiting';
    CREATE INDEX IF NOT EXISTS dead_letters_waiting ON dead_letters (subscription)
        WHERE status = 'waiting';
"""

NEW_EVENT = """
    INSERT INTO events (guid, published_at, body)
    VALUES (:guid, :at, :body)
"""
NEW_DELIVERY = """
    INSERT INTO deliveries (subscription, event, due_at)
    VALUES (:subscription, :event, :at)
"""
COUNT_MATCHED = """
    UPDATE subscriptions
    SET matched = matched + :events
    WHERE id = :subscription
"""
COUNT_PUBLISHED = """
    UPDATE topics
    SET published = published + :events, unmatched = unmatched + :unmatched, last_published_at = :at
    WHERE name = :topic
"""
DUE = """
    SELECT d.event, d.attempts, d.due_at, d.attempted_at, d.outcome, e.guid, e.published_at, e.body
    FROM deliveries AS d
    JOIN events AS e ON e.seq = d.event
    WHERE d.subscription = :subscription AND d.due_at <= :now
    ORDER BY d.due_at, d.event
    LIMIT :limit
"""
NEXT_DUE = """
    SELECT min(due_at) AS due_at
    FROM deliveries
    WHERE subscription = :subscription AND due_at > :now
"""
SETTLED = """
    DELETE FROM deliveries
    WHERE subscription = :subscription AND event = :event
"""
FORGET_EVENT = """
    DELETE FROM events
    WHERE seq = :event AND NOT EXISTS (SELECT 1 FROM deliveries WHERE event = :event)
"""
FORGET_ORPHANS = """
    DELETE FROM events
    WHERE NOT EXISTS (SELECT 1 FROM deliveries WHERE event = events.seq)
"""
COUNT_DELIVERED = """
    UPDATE subscriptions
    SET delivered = delivered + :events, last_delivered_at = :at
    WHERE id = :subscription
"""
POSTPONED = """
    UPDATE deliveries
    SET due_at = :due_at, attempts = :attempts, attempted_at = :at, outcome = :outcome
    WHERE subscription = :subscription AND event = :event
"""
COUNT_FAILED = """
    UPDATE subscriptions
    SET failed = failed + :events, last_error = :error, last_error_at = :at
    WHERE id = :subscription
"""
GIVEN_UP = """
    INSERT INTO dead_letters (guid, subscription, topic, name, container, event_id, event_type,
        subject, body, reason, outcome, attempts, published_at, attempted_at, given_up_at, due_at,
        status)
    VALUES (:guid, :subscription, :topic, :name, :container, :event_id, :event_type, :subject,
        :body, :reason, :outcome, :attempts, :published_at, :attempted_at, :given_up_at, :due_at,
        :status)
"""
COUNT_DROPPED = """
    UPDATE subscriptions
    SET dropped = dropped + :events
    WHERE id = :subscription
"""
DEAD = """
    SELECT seq, guid, subscription, topic, name, container, body, given_up_at
    FROM dead_letters
    WHERE status = 'waiting' AND due_at <= :now
    ORDER BY due_at, seq
    LIMIT :limit
"""
NEXT_DEAD = """
    SELECT min(due_at) AS due_at
    FROM dead_letters
    WHERE status = 'waiting'
"""
WRITTEN = """
    UPDATE dead_letters
    SET status = :status, blob = :blob, body = NULL
    WHERE seq = :seq
"""
DEAD_LATER = """
    UPDATE dead_letters
    SET due_at = :due_at
    WHERE seq = :seq
"""
COUNT_DEAD = """
    UPDATE subscriptions
    SET dead_lettered = dead_lettered + :events
    WHERE id = :subscription
"""
FORGET_OLD_DEAD = """
    DELETE FROM dead_letters
    WHERE status <> 'waiting' AND seq <= (SELECT max(seq) FROM dead_letters) - :keep
"""
