/* config_fields.h -- every flag of etcd 3.7 and ours: the one table from which struct config, the
 * parsers of command line, environment and file, and the help text are made.
 *
 * X(TYPE, field, "flag", "default", "key in the configuration file" or NULL, "help")
 *
 * Adding a flag?  Also add its rule to config_check.c, if it has one, and its case to
 * config_test.c.
 */
#ifndef KETCH_EDGE_SERVER_CONFIG_FIELDS_H
#define KETCH_EDGE_SERVER_CONFIG_FIELDS_H

/* clang-format off */
#define CONFIG_FIELDS(X) \
    X(STRING, name, "name", "default", "name", \
      "member name; must be a key of --initial-cluster at bootstrap") \
    X(STRING, data_dir, "data-dir", "", "data-dir", \
      "data directory; empty = '<name>.etcd'") \
    X(STRING, wal_dir, "wal-dir", "", "wal-dir", \
      "own directory for the WAL; empty = '<data-dir>/member/wal'") \
    X(URLS, listen_peer_urls, "listen-peer-urls", "http://localhost:2380", "listen-peer-urls", \
      "where to listen for other members") \
    X(URLS, listen_client_urls, "listen-client-urls", "http://localhost:2379", "listen-client-urls", \
      "where to listen for gRPC clients, and HTTP too unless --listen-client-http-urls is given") \
    X(URLS, listen_client_http_urls, "listen-client-http-urls", "", "listen-client-http-urls", \
      "where to listen for HTTP only; when set, --listen-client-urls serves gRPC only") \
    X(URLS, listen_metrics_urls, "listen-metrics-urls", "", "listen-metrics-urls", \
      "extra listeners for metrics and health") \
    X(UINT, max_snapshots, "max-snapshots", "5", "max-snapshots", \
      "number of raft '.snap' files kept, 0 = all; deprecated, still works, logs a warning") \
    X(UINT, max_wals, "max-wals", "5", "max-wals", \
      "number of WAL files kept, 0 = all") \
    X(UINT64, snapshot_count, "snapshot-count", "10000", "snapshot-count", \
      "applied entries between two raft snapshots; 0 is taken as 10000 (100000 was the default up to 3.5)") \
    X(UINT64, snapshot_catchup_entries, "snapshot-catchup-entries", "5000", "snapshot-catchup-entries", \
      "raft entries kept in memory behind a snapshot for slow followers") \
    X(UINT, heartbeat_interval, "heartbeat-interval", "100", "heartbeat-interval", \
      "milliseconds per tick / heartbeat") \
    X(UINT, election_timeout, "election-timeout", "1000", "election-timeout", \
      "milliseconds until a follower stands for election; must be >= 5 x heartbeat and <= 50000") \
    X(BOOL, initial_election_tick_advance, "initial-election-tick-advance", "true", "initial-election-tick-advance", \
      "at start skip most of the first election timeout") \
    X(INT64, quota_backend_bytes, "quota-backend-bytes", "0", "quota-backend-bytes", \
      "bytes of the backend before writes are refused; 0 = 2147483648, negative = no quota, above 8589934592 only warns") \
    X(STRING, backend_bbolt_freelist_type, "backend-bbolt-freelist-type", "", "backend-bbolt-freelist-type", \
      "'array' = array; anything else (also empty) = map") \
    X(DURATION, backend_batch_interval, "backend-batch-interval", "0", "backend-batch-interval", \
      "0 = 100ms; longest time between two commits of the backend") \
    X(INT, backend_batch_limit, "backend-batch-limit", "0", "backend-batch-limit", \
      "0 = 10000; operations that trigger a commit") \
    X(UINT, max_txn_ops, "max-txn-ops", "128", "max-txn-ops", \
      "operations per transaction") \
    X(UINT, max_request_bytes, "max-request-bytes", "1572864", "max-request-bytes", \
      "bytes of one encoded request; above 10485760 only warns") \
    X(UINT32, max_concurrent_streams, "max-concurrent-streams", "4294967295", "max-concurrent-streams", \
      "HTTP/2 streams per client connection") \
    X(DURATION, grpc_keepalive_min_time, "grpc-keepalive-min-time", "5s", "grpc-keepalive-min-time", \
      "shortest allowed interval of client pings") \
    X(DURATION, grpc_keepalive_interval, "grpc-keepalive-interval", "2h", "grpc-keepalive-interval", \
      "idle time before the server pings; 0 = library default") \
    X(DURATION, grpc_keepalive_timeout, "grpc-keepalive-timeout", "20s", "grpc-keepalive-timeout", \
      "wait for the answer to that ping; 0 = library default") \
    X(BOOL, socket_reuse_port, "socket-reuse-port", "false", "socket-options.reuse-port", \
      "SO_REUSEPORT on listeners") \
    X(BOOL, socket_reuse_address, "socket-reuse-address", "false", "socket-options.reuse-address", \
      "SO_REUSEADDR on listeners") \
    X(DURATION, raft_read_timeout, "raft-read-timeout", "5s", NULL, \
      "read timeout of peer connections; lower values are raised to 5s") \
    X(DURATION, raft_write_timeout, "raft-write-timeout", "5s", NULL, \
      "write timeout of peer connections; lower values are raised to 5s") \
    X(BOOL, memory_mlock, "memory-mlock", "false", "memory-mlock", \
      "lock the mapped backend file in RAM (mlock)") \
    X(URLS, initial_advertise_peer_urls, "initial-advertise-peer-urls", "http://localhost:2380", "initial-advertise-peer-urls", \
      "own peer URLs told to the others") \
    X(URLS, advertise_client_urls, "advertise-client-urls", "http://localhost:2379", "advertise-client-urls", \
      "own client URLs told to the cluster; required when --listen-client-urls is given") \
    X(STRING, initial_cluster, "initial-cluster", "default=http://localhost:2380", "initial-cluster", \
      "'name=url,name=url,...' (a name may repeat); when not given, built from --name and the peer URLs") \
    X(STATE, initial_cluster_state, "initial-cluster-state", "new", "initial-cluster-state", \
      "bootstrap or join; ignored once a data directory exists") \
    X(STRING, initial_cluster_token, "initial-cluster-token", "etcd-cluster", "initial-cluster-token", \
      "text that goes into the member and cluster ids at bootstrap") \
    X(BOOL, strict_reconfig_check, "strict-reconfig-check", "true", "strict-reconfig-check", \
      "refuse membership changes that would lose the quorum") \
    X(BOOL, pre_vote, "pre-vote", "true", "pre-vote", \
      "raft pre-vote") \
    X(STRINGS, discovery_endpoints, "discovery-endpoints", "", "discovery-config.client.endpoints", \
      "v3 discovery: endpoints of the discovery etcd") \
    X(STRING, discovery_token, "discovery-token", "", "discovery-config.token", \
      "v3 discovery: token") \
    X(DURATION, discovery_dial_timeout, "discovery-dial-timeout", "2s", "discovery-config.client.dial-timeout", \
      "v3 discovery: dial timeout") \
    X(DURATION, discovery_request_timeout, "discovery-request-timeout", "5s", "discovery-config.client.request-timeout", \
      "v3 discovery: request timeout") \
    X(DURATION, discovery_keepalive_time, "discovery-keepalive-time", "2s", "discovery-config.client.keepalive-time", \
      "v3 discovery: keepalive time") \
    X(DURATION, discovery_keepalive_timeout, "discovery-keepalive-timeout", "6s", "discovery-config.client.keepalive-timeout", \
      "v3 discovery: keepalive timeout") \
    X(BOOL, discovery_insecure_transport, "discovery-insecure-transport", "true", "discovery-config.client.secure.insecure-transport", \
      "v3 discovery: no TLS") \
    X(BOOL, discovery_insecure_skip_tls_verify, "discovery-insecure-skip-tls-verify", "false", "discovery-config.client.secure.insecure-skip-tls-verify", \
      "v3 discovery: do not verify the server") \
    X(STRING, discovery_cert, "discovery-cert", "", "discovery-config.client.secure.cert", \
      "v3 discovery: client certificate") \
    X(STRING, discovery_key, "discovery-key", "", "discovery-config.client.secure.key", \
      "v3 discovery: client key") \
    X(STRING, discovery_cacert, "discovery-cacert", "", "discovery-config.client.secure.cacert", \
      "v3 discovery: CA bundle") \
    X(STRING, discovery_user, "discovery-user", "", "discovery-config.client.auth.username", \
      "v3 discovery: user") \
    X(STRING, discovery_password, "discovery-password", "", "discovery-config.client.auth.password", \
      "v3 discovery: password") \
    X(STRING, discovery_srv, "discovery-srv", "", "discovery-srv", \
      "DNS domain for SRV discovery") \
    X(STRING, discovery_srv_name, "discovery-srv-name", "", "discovery-srv-name", \
      "suffix '-<name>' of the SRV service names") \
    X(FALLBACK, discovery_fallback, "discovery-fallback", "exit", NULL, \
      "kept for old command lines; only 'exit' works") \
    X(STRING, cert_file, "cert-file", "", "client-transport-security.cert-file", \
      "server certificate of the client listeners") \
    X(STRING, key_file, "key-file", "", "client-transport-security.key-file", \
      "key of --cert-file") \
    X(STRING, client_cert_file, "client-cert-file", "", "client-transport-security.client-cert-file", \
      "certificate the member uses when it is a client of itself (gateway); default cert-file") \
    X(STRING, client_key_file, "client-key-file", "", "client-transport-security.client-key-file", \
      "key of --client-cert-file") \
    X(BOOL, client_cert_auth, "client-cert-auth", "false", "client-transport-security.client-cert-auth", \
      "demand and verify client certificates; also allows the common name as auth user") \
    X(STRING, client_crl_file, "client-crl-file", "", NULL, \
      "revocation list for client certificates") \
    X(NAMES, client_cert_allowed_hostname, "client-cert-allowed-hostname", "", "client-transport-security.allowed-hostname", \
      "client certificate must be valid for one of these SAN names") \
    X(STRING, trusted_ca_file, "trusted-ca-file", "", "client-transport-security.trusted-ca-file", \
      "CA for client certificates") \
    X(BOOL, auto_tls, "auto-tls", "false", "client-transport-security.auto-tls", \
      "make a self-signed certificate") \
    X(STRING, peer_cert_file, "peer-cert-file", "", "peer-transport-security.cert-file", \
      "peer server (and client) certificate") \
    X(STRING, peer_key_file, "peer-key-file", "", "peer-transport-security.key-file", \
      "key of --peer-cert-file") \
    X(STRING, peer_client_cert_file, "peer-client-cert-file", "", "peer-transport-security.client-cert-file", \
      "certificate for outgoing peer connections; default peer-cert-file") \
    X(STRING, peer_client_key_file, "peer-client-key-file", "", "peer-transport-security.client-key-file", \
      "key of --peer-client-cert-file") \
    X(BOOL, peer_client_cert_auth, "peer-client-cert-auth", "false", "peer-transport-security.client-cert-auth", \
      "demand and verify certificates of peers") \
    X(STRING, peer_trusted_ca_file, "peer-trusted-ca-file", "", "peer-transport-security.trusted-ca-file", \
      "CA for peers") \
    X(BOOL, peer_auto_tls, "peer-auto-tls", "false", "peer-transport-security.auto-tls", \
      "make a self-signed peer certificate") \
    X(STRING, peer_crl_file, "peer-crl-file", "", NULL, \
      "revocation list for peer certificates") \
    X(NAMES, peer_cert_allowed_cn, "peer-cert-allowed-cn", "", "peer-transport-security.allowed-cn", \
      "allowed common names of peers") \
    X(NAMES, peer_cert_allowed_hostname, "peer-cert-allowed-hostname", "", "peer-transport-security.allowed-hostname", \
      "allowed SAN names of peers") \
    X(BOOL, peer_skip_client_san_verification, "peer-skip-client-san-verification", "false", "peer-transport-security.skip-client-san-verification", \
      "do not check the SAN of an incoming peer against its address") \
    X(UINT, self_signed_cert_validity, "self-signed-cert-validity", "1", "self-signed-cert-validity", \
      "years; 0 is an error with auto TLS on the command line, 0 = 1 in a file") \
    X(STRINGS, cipher_suites, "cipher-suites", "", "cipher-suites", \
      "TLS 1.2 cipher suite names") \
    X(STRING, tls_min_version, "tls-min-version", "TLS1.2", "tls-min-version", \
      "'TLS1.2' or 'TLS1.3'") \
    X(STRING, tls_max_version, "tls-max-version", "", "tls-max-version", \
      "'TLS1.2' or 'TLS1.3'; empty = newest") \
    X(ORIGINS, cors, "cors", "*", "cors", \
      "allowed origins; each must be scheme://host:port") \
    X(STRINGS, host_whitelist, "host-whitelist", "*", "host-whitelist", \
      "allowed Host names for plain HTTP") \
    X(STRING, auth_token, "auth-token", "simple", "auth-token", \
      "'simple', or 'jwt,option=value,...'") \
    X(UINT, bcrypt_cost, "bcrypt-cost", "10", "bcrypt-cost", \
      "4..31; outside: warning and 10") \
    X(UINT, auth_token_ttl, "auth-token-ttl", "300", "auth-token-ttl", \
      "seconds a simple token lives after last use") \
    X(BOOL, enable_pprof, "enable-pprof", "false", "enable-pprof", \
      "/debug/pprof on the client listeners") \
    X(STRING, metrics, "metrics", "basic", "metrics", \
      "'extensive' adds gRPC latency histograms; any other value acts as basic") \
    X(STRING, logger, "logger", "zap", "logger", \
      "only zap") \
    X(STRINGS, log_outputs, "log-outputs", "default", "log-outputs", \
      "default (standard error), stderr, stdout or file paths, comma separated") \
    X(STRING, log_level, "log-level", "info", "log-level", \
      "debug, info, warn, error, panic, fatal") \
    X(STRING, log_format, "log-format", "json", "log-format", \
      "json or console") \
    X(BOOL, enable_log_rotation, "enable-log-rotation", "false", "enable-log-rotation", \
      "rotate one log file") \
    X(STRING, log_rotation_config_json, "log-rotation-config-json", "{\"maxsize\": 100, \"maxage\": 0, \"maxbackups\": 0, \"localtime\": false, \"compress\": false}", "log-rotation-config-json", \
      "how a log file is rotated, as JSON") \
    X(DURATION, warning_apply_duration, "warning-apply-duration", "100ms", "warning-apply-duration", \
      "warn when applying a request takes longer") \
    X(DURATION, warning_unary_request_duration, "warning-unary-request-duration", "300ms", "warning-unary-request-duration", \
      "warn when a unary call takes longer; 0 = 300ms") \
    X(BOOL, enable_distributed_tracing, "enable-distributed-tracing", "false", "enable-distributed-tracing", \
      "OpenTelemetry traces by OTLP/gRPC") \
    X(STRING, distributed_tracing_address, "distributed-tracing-address", "localhost:4317", "distributed-tracing-address", \
      "address of the trace collector") \
    X(STRING, distributed_tracing_service_name, "distributed-tracing-service-name", "etcd", "distributed-tracing-service-name", \
      "service name in traces") \
    X(STRING, distributed_tracing_instance_id, "distributed-tracing-instance-id", "", "distributed-tracing-instance-id", \
      "instance id in traces") \
    X(INT, distributed_tracing_sampling_rate, "distributed-tracing-sampling-rate", "0", "distributed-tracing-sampling-rate", \
      "samples per million, 0..1000000") \
    X(GATES, feature_gates, "feature-gates", "", "feature-gates", \
      "Name=true,Name=false: features on and off") \
    X(BOOL, enable_grpc_gateway, "enable-grpc-gateway", "true", "enable-grpc-gateway", \
      "serve /v3/ JSON") \
    X(STRING, auto_compaction_mode, "auto-compaction-mode", "periodic", "auto-compaction-mode", \
      "periodic or revision: what auto-compaction-retention means") \
    X(STRING, auto_compaction_retention, "auto-compaction-retention", "0", "auto-compaction-retention", \
      "0 = off; periodic: Go duration, or integer = hours; revision: integer number of revisions to keep") \
    X(DURATION, corrupt_check_time, "corrupt-check-time", "0", "corrupt-check-time", \
      "interval of the cluster-wide hash check by the leader; 0 = off") \
    X(DURATION, compact_hash_check_time, "compact-hash-check-time", "1m", "compact-hash-check-time", \
      "interval of the compaction-hash check (needs gate CompactHashCheck); must be > 0") \
    X(INT, compaction_batch_limit, "compaction-batch-limit", "0", "compaction-batch-limit", \
      "0 = 1000; keys deleted per batch of a compaction") \
    X(DURATION, compaction_sleep_interval, "compaction-sleep-interval", "0", "compaction-sleep-interval", \
      "0 = 10ms; pause between batches") \
    X(DURATION, watch_progress_notify_interval, "watch-progress-notify-interval", "0", "watch-progress-notify-interval", \
      "0 = 10m; below 100ms is raised to 100ms with a warning") \
    X(DURATION, downgrade_check_time, "downgrade-check-time", "5s", "downgrade-check-time", \
      "interval of the leader's downgrade check; 0 = off") \
    X(UINT, bootstrap_defrag_threshold_megabytes, "bootstrap-defrag-threshold-megabytes", "0", "bootstrap-defrag-threshold-megabytes", \
      "defragment at start if at least so many MB would be freed; 0 = never") \
    X(INT, max_learners, "max-learners", "1", "max-learners", \
      "learners allowed in the cluster") \
    X(V2, v2_deprecation, "v2-deprecation", "write-only", "v2-deprecation", \
      "'write-only', 'write-only-skip-check', 'write-only-drop-data', 'gone' are accepted, then ignored (always 'write-only'); deprecated") \
    X(BOOL, unsafe_no_fsync, "unsafe-no-fsync", "false", "unsafe-no-fsync", \
      "no fsync at all") \
    X(BOOL, force_new_cluster, "force-new-cluster", "false", "force-new-cluster", \
      "turn the data directory into a new one-member cluster") \
    X(STRING, config_file, "config-file", "", NULL, \
      "YAML or JSON file; when given, all other flags and variables are ignored") \
    X(BOOL, version, "version", "false", NULL, \
      "print and exit") \
    X(LEVEL, emulated_version, "emulated-version", "3.7", "emulated-version", \
      "etcd release whose level this member reports and behaves at: 3.5, 3.6 or 3.7 (Ketch's own flag)") \
    X(UINT, io_threads, "io-threads", "0", "io-threads", \
      "threads that serve clients; 0 = up to two, by the number of processors (Ketch's own flag)")

/* Keys of the file that no flag goes with: the same columns, the flag empty. */
#define CONFIG_FILE_FIELDS(X) \
    X(NAMES, client_cert_allowed_cn, "", "", "client-transport-security.allowed-cn", \
      "client certificate must have one of these common names") \
    X(BOOL, client_skip_client_san_verification, "", "false", "client-transport-security.skip-client-san-verification", \
      "do not check the SAN of a client of the metrics listener against its address")
/* clang-format on */

#endif
