-- The schema of an audit trail's index.  It belongs to who runs this; whoever fills
-- it needs the role chimera_log_writer, and no more.

CREATE SCHEMA chimera_log;

CREATE TABLE chimera_log.rules (
    version integer NOT NULL,
    floor_days double precision NOT NULL  -- younger rows cannot be removed
);

CREATE TABLE chimera_log.position (
    chain text PRIMARY KEY,
    "after" text NOT NULL,
    "offset" bigint NOT NULL,
    seq bigint NOT NULL,
    hash text NOT NULL
);

CREATE TABLE chimera_log.audit (
    chain text NOT NULL,
    seq bigint NOT NULL,
    ts timestamptz NOT NULL,  -- infinity: the line tells no time
    level text NOT NULL,
    module text NOT NULL,
    event text NOT NULL,
    hash text NOT NULL,
    line text NOT NULL,
    PRIMARY KEY (chain, seq, ts)
) PARTITION BY RANGE (ts);

CREATE INDEX audit_event_ts ON chimera_log.audit (event, ts);
CREATE INDEX audit_ts ON chimera_log.audit USING brin (ts);
CREATE TABLE chimera_log.audit_timeless PARTITION OF chimera_log.audit DEFAULT;

CREATE FUNCTION chimera_log.guard_row() RETURNS trigger LANGUAGE plpgsql
SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF TG_OP = 'UPDATE' THEN
        RAISE EXCEPTION 'chimera_log: rows of an audit trail never change';
    END IF;
    IF OLD.ts > now() - make_interval(
        secs => 86400 * (SELECT floor_days FROM chimera_log.rules)) THEN
        RAISE EXCEPTION 'chimera_log: rows younger than retention_floor_days stay';
    END IF;
    RETURN OLD;
END $$;

CREATE FUNCTION chimera_log.guard_all() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RAISE EXCEPTION 'chimera_log: an audit trail is not truncated';
END $$;

CREATE TRIGGER audit_guard BEFORE UPDATE OR DELETE ON chimera_log.audit
    FOR EACH ROW EXECUTE FUNCTION chimera_log.guard_row();
CREATE TRIGGER audit_guard_all BEFORE TRUNCATE ON chimera_log.audit
    FOR EACH STATEMENT EXECUTE FUNCTION chimera_log.guard_all();
CREATE TRIGGER audit_guard_all BEFORE TRUNCATE ON chimera_log.audit_timeless
    FOR EACH STATEMENT EXECUTE FUNCTION chimera_log.guard_all();

-- Make the partition of a month, unless it is there.
CREATE FUNCTION chimera_log.make_month(moment timestamptz) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    month timestamp := date_trunc('month', moment AT TIME ZONE 'UTC');
    name text := 'audit_' || to_char(month, 'YYYY_MM');
BEGIN
    IF to_regclass('chimera_log.' || name) IS NOT NULL THEN
        RETURN;
    END IF;
    PERFORM pg_advisory_xact_lock(7306362);
    IF to_regclass('chimera_log.' || name) IS NOT NULL THEN
        RETURN;
    END IF;
    EXECUTE format(
        'CREATE TABLE chimera_log.%I PARTITION OF chimera_log.audit '
        'FOR VALUES FROM (%L) TO (%L)',
        name, month AT TIME ZONE 'UTC', (month + interval '1 month') AT TIME ZONE 'UTC'
    );
    EXECUTE format(
        'CREATE TRIGGER audit_guard_all BEFORE TRUNCATE ON chimera_log.%I '
        'FOR EACH STATEMENT EXECUTE FUNCTION chimera_log.guard_all()', name
    );
EXCEPTION WHEN check_violation THEN
    NULL;  -- somebody put rows of it among those without a time, where it stays
END $$;

-- Remove one month that is older than the floor as a whole; whether there was one.
CREATE FUNCTION chimera_log.expire(moment timestamptz) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    oldest text;
    newest text;
    latest timestamptz;
BEGIN
    SELECT min(relname), max(relname) INTO oldest, newest
    FROM pg_class WHERE relnamespace = 'chimera_log'::regnamespace
        AND relkind = 'r' AND relname ~ '^audit_\d{4}_\d{2}$';
    IF oldest IS NULL THEN
        RETURN false;
    END IF;
    latest := least(moment, now(),
        to_timestamp(newest, '"audit_"YYYY_MM') + interval '1 month 1 day');
    IF to_timestamp(oldest, '"audit_"YYYY_MM') + interval '1 month' > latest
        - make_interval(secs => 86400 * (SELECT floor_days FROM chimera_log.rules)) THEN
        RETURN false;
    END IF;
    EXECUTE format('DROP TABLE chimera_log.%I', oldest);
    RETURN true;
END $$;

CREATE FUNCTION chimera_log.remember(
    chain text, "after" text, "offset" bigint, seq bigint, hash text
) RETURNS boolean LANGUAGE sql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
    INSERT INTO chimera_log.position VALUES ($1, $2, $3, $4, $5)
    ON CONFLICT ON CONSTRAINT position_pkey DO UPDATE SET
        "after" = excluded."after", "offset" = excluded."offset",
        seq = excluded.seq, hash = excluded.hash
    RETURNING true
$$;

-- Raise the floor; it is never lowered.
CREATE FUNCTION chimera_log.promise(days double precision) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    UPDATE chimera_log.rules SET floor_days = greatest(floor_days, days)
$$;

REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA chimera_log FROM PUBLIC;

DO $$
BEGIN
    IF NOT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'chimera_log_writer') THEN
        CREATE ROLE chimera_log_writer NOLOGIN;
    END IF;
    GRANT USAGE ON SCHEMA chimera_log TO chimera_log_writer;
    GRANT SELECT ON chimera_log.rules, chimera_log.position TO chimera_log_writer;
    GRANT SELECT, INSERT ON chimera_log.audit TO chimera_log_writer;
    GRANT EXECUTE ON FUNCTION chimera_log.make_month, chimera_log.expire,
        chimera_log.remember, chimera_log.promise TO chimera_log_writer;
EXCEPTION WHEN insufficient_privilege THEN
    NULL;  -- its owner fills it himself, until somebody may make the role
END $$;
