CREATE FUNCTION public.refuse_audit_change() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
    BEGIN
        RAISE EXCEPTION 'the audit trail is append-only: % is refused', TG_OP;
    END
    $$;
CREATE TABLE public.account (
    source_id uuid NOT NULL,
    native_identity text NOT NULL,
    name text NOT NULL,
    attributes jsonb NOT NULL,
    fingerprint bytea NOT NULL,
    created timestamp with time zone DEFAULT now() NOT NULL,
    modified timestamp with time zone DEFAULT now() NOT NULL
);
CREATE TABLE public.alembic_version (
    version_num character varying(32) NOT NULL
);
CREATE TABLE public.audit (
    id bigint NOT NULL,
    at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    actor_type text NOT NULL,
    actor_id text NOT NULL,
    actor_name text NOT NULL,
    address text,
    action text NOT NULL,
    subject_id text NOT NULL,
    before jsonb,
    after jsonb,
    tracking_id text,
    CONSTRAINT audit_actor_type_check CHECK ((actor_type = ANY (ARRAY['user'::text, 'application'::text, 'command'::text, 'worker'::text, 'server'::text])))
);
ALTER TABLE public.audit ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.audit_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.client (
    id text NOT NULL,
    name text NOT NULL,
    scopes text[] NOT NULL,
    secret_hmac bytea NOT NULL,
    created timestamp with time zone DEFAULT now() NOT NULL,
    user_id text,
    epoch integer DEFAULT 0 NOT NULL,
    is_disabled boolean DEFAULT false NOT NULL
);
CREATE TABLE public.entitlement (
    source_id uuid CONSTRAINT account_source_id_not_null NOT NULL,
    native_identity text CONSTRAINT account_native_identity_not_null NOT NULL,
    name text CONSTRAINT account_name_not_null NOT NULL,
    attributes jsonb CONSTRAINT account_attributes_not_null NOT NULL,
    fingerprint bytea CONSTRAINT account_fingerprint_not_null NOT NULL,
    created timestamp with time zone DEFAULT now() CONSTRAINT account_created_not_null NOT NULL,
    modified timestamp with time zone DEFAULT now() CONSTRAINT account_modified_not_null NOT NULL
);
CREATE TABLE public.node (
    number integer NOT NULL,
    host text NOT NULL,
    process integer NOT NULL,
    kind text NOT NULL,
    version text NOT NULL,
    slots smallint,
    is_stopping boolean DEFAULT false NOT NULL,
    started timestamp with time zone DEFAULT now() NOT NULL,
    seen timestamp with time zone DEFAULT now() NOT NULL
);
CREATE SEQUENCE public.node_number
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
CREATE UNLOGGED TABLE public.rate_window (
    client_id text NOT NULL,
    version text NOT NULL,
    opened timestamp with time zone NOT NULL,
    taken integer NOT NULL,
    granted integer NOT NULL
)
WITH (fillfactor='50');
CREATE TABLE public.revocation (
    id bigint NOT NULL,
    client_id text NOT NULL,
    least_epoch integer,
    jti text,
    revoked timestamp with time zone DEFAULT now() NOT NULL,
    ends timestamp with time zone NOT NULL,
    CONSTRAINT revocation_of_one_or_all CHECK (((least_epoch IS NULL) <> (jti IS NULL)))
);
ALTER TABLE public.revocation ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.revocation_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.schedule (
    id uuid NOT NULL,
    name text NOT NULL,
    definition text NOT NULL,
    arguments json NOT NULL,
    source_id uuid,
    cron text NOT NULL,
    time_zone text NOT NULL,
    overlap text NOT NULL,
    missed text NOT NULL,
    is_paused boolean DEFAULT false NOT NULL,
    next_due timestamp with time zone NOT NULL,
    last_due timestamp with time zone,
    last_task_id uuid,
    waiting_due timestamp with time zone,
    created timestamp with time zone DEFAULT now() NOT NULL,
    modified timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT schedule_missed_check CHECK ((missed = ANY (ARRAY['once'::text, 'skip'::text]))),
    CONSTRAINT schedule_overlap_check CHECK ((overlap = ANY (ARRAY['skip'::text, 'wait'::text, 'cancel'::text])))
);
CREATE TABLE public.schedule_firing (
    schedule_id uuid NOT NULL,
    due timestamp with time zone NOT NULL,
    fate text NOT NULL,
    task_id uuid,
    reason text,
    CONSTRAINT schedule_firing_fate_check CHECK ((fate = ANY (ARRAY['launched'::text, 'waiting'::text, 'skipped'::text, 'missed'::text, 'refused'::text])))
);
CREATE TABLE public.sealed_key (
    id text NOT NULL,
    sealed bytea NOT NULL,
    created timestamp with time zone DEFAULT now() NOT NULL
);
CREATE TABLE public.signing_key (
    kid text NOT NULL,
    sealed bytea NOT NULL,
    active timestamp with time zone DEFAULT now() NOT NULL,
    ends timestamp with time zone
);
CREATE TABLE public.source (
    id uuid NOT NULL,
    name text NOT NULL,
    connector text NOT NULL,
    settings jsonb NOT NULL,
    created timestamp with time zone NOT NULL,
    modified timestamp with time zone NOT NULL,
    sealed bytea
);
CREATE TABLE public.task (
    id uuid NOT NULL,
    created timestamp with time zone NOT NULL,
    modified timestamp with time zone NOT NULL,
    launched timestamp with time zone,
    completed timestamp with time zone,
    completion_status text,
    type text NOT NULL,
    definition text NOT NULL,
    source_id text,
    launcher text NOT NULL,
    priority smallint DEFAULT 0 NOT NULL,
    execution text NOT NULL,
    holds_source boolean DEFAULT false NOT NULL,
    arguments jsonb DEFAULT '{}'::jsonb NOT NULL,
    attempts smallint DEFAULT 0 NOT NULL,
    max_attempts smallint DEFAULT 1 NOT NULL,
    epoch integer DEFAULT 0 NOT NULL,
    node integer,
    lease_until timestamp with time zone,
    cancel_requested boolean DEFAULT false NOT NULL,
    checkpoint text,
    version integer DEFAULT 1 NOT NULL,
    document text NOT NULL,
    being_stopped boolean DEFAULT false NOT NULL,
    concurrency smallint,
    waits boolean DEFAULT false NOT NULL,
    start_after timestamp with time zone,
    CONSTRAINT task_completed_with_status CHECK (((completed IS NULL) = (completion_status IS NULL))),
    CONSTRAINT task_completion_status_check CHECK ((completion_status = ANY (ARRAY['SUCCESS'::text, 'WARNING'::text, 'ERROR'::text, 'TERMINATED'::text, 'TEMPERROR'::text]))),
    CONSTRAINT task_concurrency_check CHECK ((concurrency > 0)),
    CONSTRAINT task_execution_check CHECK ((execution = ANY (ARRAY['worker'::text, 'external'::text]))),
    CONSTRAINT task_type_check CHECK ((type = ANY (ARRAY['QUARTZ'::text, 'QPOC'::text, 'QUEUED_TASK'::text])))
)
WITH (fillfactor='80');
ALTER TABLE ONLY public.task ALTER COLUMN document SET STORAGE EXTERNAL;
CREATE TABLE public.task_definition (
    id uuid NOT NULL,
    unique_name text NOT NULL,
    description text,
    parent_name text NOT NULL,
    executor text,
    arguments json NOT NULL,
    created timestamp with time zone NOT NULL,
    modified timestamp with time zone NOT NULL
);
CREATE TABLE public.tenant_user (
    id text NOT NULL,
    name text NOT NULL,
    user_level text NOT NULL,
    is_disabled boolean DEFAULT false NOT NULL,
    created timestamp with time zone DEFAULT now() NOT NULL
);
CREATE TABLE public.upload (
    task_id uuid NOT NULL,
    part_no integer NOT NULL,
    bytes bytea NOT NULL
);
ALTER TABLE ONLY public.upload ALTER COLUMN bytes SET STORAGE EXTERNAL;
ALTER TABLE ONLY public.account
    ADD CONSTRAINT account_pkey PRIMARY KEY (source_id, native_identity);
ALTER TABLE ONLY public.alembic_version
    ADD CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num);
ALTER TABLE ONLY public.audit
    ADD CONSTRAINT audit_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.client
    ADD CONSTRAINT client_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.entitlement
    ADD CONSTRAINT entitlement_pkey PRIMARY KEY (source_id, native_identity);
ALTER TABLE ONLY public.node
    ADD CONSTRAINT node_pkey PRIMARY KEY (number);
ALTER TABLE ONLY public.rate_window
    ADD CONSTRAINT rate_window_pkey PRIMARY KEY (client_id, version);
ALTER TABLE ONLY public.revocation
    ADD CONSTRAINT revocation_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.schedule_firing
    ADD CONSTRAINT schedule_firing_pkey PRIMARY KEY (schedule_id, due);
ALTER TABLE ONLY public.schedule
    ADD CONSTRAINT schedule_name_key UNIQUE (name);
ALTER TABLE ONLY public.schedule
    ADD CONSTRAINT schedule_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.sealed_key
    ADD CONSTRAINT sealed_key_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.signing_key
    ADD CONSTRAINT signing_key_pkey PRIMARY KEY (kid);
ALTER TABLE ONLY public.source
    ADD CONSTRAINT source_name_key UNIQUE (name);
ALTER TABLE ONLY public.source
    ADD CONSTRAINT source_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.task_definition
    ADD CONSTRAINT task_definition_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.task_definition
    ADD CONSTRAINT task_definition_unique_name_key UNIQUE (unique_name);
ALTER TABLE ONLY public.task
    ADD CONSTRAINT task_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.tenant_user
    ADD CONSTRAINT tenant_user_name_key UNIQUE (name);
ALTER TABLE ONLY public.tenant_user
    ADD CONSTRAINT tenant_user_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.upload
    ADD CONSTRAINT upload_pkey PRIMARY KEY (task_id, part_no);
CREATE INDEX audit_by_subject ON public.audit USING btree (subject_id, id);
CREATE INDEX audit_by_time ON public.audit USING btree (at, id);
CREATE INDEX revocation_by_time ON public.revocation USING btree (revoked);
CREATE INDEX schedule_by_due ON public.schedule USING btree (next_due) WHERE (NOT is_paused);
CREATE INDEX schedule_by_source ON public.schedule USING btree (source_id);
CREATE INDEX schedule_firing_by_due ON public.schedule_firing USING btree (due);
CREATE INDEX schedule_waiting ON public.schedule USING btree (waiting_due) WHERE (waiting_due IS NOT NULL);
CREATE INDEX task_admitted ON public.task USING btree (definition) WHERE ((completion_status IS NULL) AND (concurrency IS NOT NULL) AND (NOT waits));
CREATE INDEX task_being_stopped ON public.task USING btree (id) WHERE being_stopped;
CREATE INDEX task_by_definition ON public.task USING btree (definition, created, id) INCLUDE (completion_status);
CREATE INDEX task_by_launcher ON public.task USING btree (launcher, created, id) INCLUDE (completion_status);
CREATE INDEX task_by_source ON public.task USING btree (source_id, created, id) INCLUDE (completion_status) WHERE (source_id IS NOT NULL);
CREATE INDEX task_by_status ON public.task USING btree (completion_status, created, id) WHERE (completion_status IS NOT NULL);
CREATE INDEX task_by_type ON public.task USING btree (type, created, id) INCLUDE (completion_status);
CREATE INDEX task_created ON public.task USING btree (created, id) INCLUDE (completion_status, type, definition, source_id, launcher);
CREATE INDEX task_held ON public.task USING btree (node) WHERE ((completion_status IS NULL) AND (node IS NOT NULL));
CREATE UNIQUE INDEX task_one_per_source ON public.task USING btree (source_id, definition) WHERE ((completion_status IS NULL) AND holds_source);
CREATE INDEX task_pending ON public.task USING btree (created, id) WHERE (completion_status IS NULL);
CREATE INDEX task_waits_for_place ON public.task USING btree (definition, priority DESC, id) WHERE ((completion_status IS NULL) AND waits AND (concurrency IS NOT NULL));
CREATE INDEX task_waits_for_source ON public.task USING btree (source_id, definition, priority DESC, id) WHERE ((completion_status IS NULL) AND waits AND (concurrency IS NULL));
CREATE TRIGGER audit_append_only BEFORE DELETE OR UPDATE OR TRUNCATE ON public.audit FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_audit_change();
ALTER TABLE ONLY public.account
    ADD CONSTRAINT account_source_id_fkey FOREIGN KEY (source_id) REFERENCES public.source(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.client
    ADD CONSTRAINT client_user_id_fkey FOREIGN KEY (user_id) REFERENCES public.tenant_user(id);
ALTER TABLE ONLY public.entitlement
    ADD CONSTRAINT entitlement_source_id_fkey FOREIGN KEY (source_id) REFERENCES public.source(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.schedule_firing
    ADD CONSTRAINT schedule_firing_schedule_id_fkey FOREIGN KEY (schedule_id) REFERENCES public.schedule(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.schedule
    ADD CONSTRAINT schedule_source_id_fkey FOREIGN KEY (source_id) REFERENCES public.source(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.upload
    ADD CONSTRAINT upload_task_id_fkey FOREIGN KEY (task_id) REFERENCES public.task(id) ON DELETE CASCADE;
