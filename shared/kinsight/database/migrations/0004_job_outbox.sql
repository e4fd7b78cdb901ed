-- Announcements of jobs for a message broker, written in the transaction that makes the job
-- claimable and deleted once the broker has confirmed the message (shared by all services).
CREATE TABLE job_outbox (
    sequence bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    job_id text NOT NULL,
    kind text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
