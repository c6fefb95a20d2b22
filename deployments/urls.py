from django.urls import path

from deployments.views import (
    activities,
    crons,
    environments,
    health,
    logs,
    projects,
    routes,
    search,
    settings,
    streams,
)

_ENVIRONMENT = "projects/<str:project_id>/environments/<str:name>"
_ACTIVITY = "projects/<str:project_id>/activities/<str:activity_id>"

urlpatterns = [
    path("", projects.projects, name="projects"),
    path("search", search.search, name="search"),
    path("projects/new", projects.project_new, name="project_new"),
    path("projects/<str:project_id>/", projects.project, name="project"),
    path("projects/<str:project_id>/events", streams.project_events, name="project_events"),
    path("projects/<str:project_id>/side", projects.project_side, name="project_side"),
    path("projects/<str:project_id>/retry", projects.project_retry, name="project_retry"),
    path("projects/<str:project_id>/settings", settings.project_settings, name="project_settings"),
    path(
        "projects/<str:project_id>/settings/<str:section>", settings.project_settings_save, name="project_settings_save"
    ),
    path("projects/<str:project_id>/activities/", activities.activities, name="activities"),
    path(f"{_ACTIVITY}/", activities.activity, name="activity"),
    path(f"{_ACTIVITY}/stream", streams.activity_stream, name="activity_stream"),
    path(f"{_ACTIVITY}/log", activities.activity_log, name="activity_log"),
    path(f"{_ACTIVITY}/log.txt", activities.activity_log_raw, name="activity_log_raw"),
    path(f"{_ACTIVITY}/cancel", activities.activity_cancel, name="activity_cancel"),
    path(f"{_ACTIVITY}/retry", activities.activity_retry, name="activity_retry"),
    path(f"{_ENVIRONMENT}/", environments.environment, name="environment"),
    path(f"{_ENVIRONMENT}/activate", environments.environment_activate, name="environment_activate"),
    path(f"{_ENVIRONMENT}/redeploy", environments.environment_redeploy, name="environment_redeploy"),
    path(f"{_ENVIRONMENT}/deactivate", environments.environment_deactivate, name="environment_deactivate"),
    path(f"{_ENVIRONMENT}/delete", environments.environment_delete, name="environment_delete"),
    path(f"{_ENVIRONMENT}/health", health.environment_health, name="environment_health"),
    path(f"{_ENVIRONMENT}/health/card", health.environment_health_card, name="environment_health_card"),
    path(f"{_ENVIRONMENT}/pause", environments.environment_pause, name="environment_pause"),
    path(f"{_ENVIRONMENT}/resume", environments.environment_resume, name="environment_resume"),
    path(f"{_ENVIRONMENT}/branch", environments.environment_branch, name="environment_branch"),
    path(f"{_ENVIRONMENT}/crons", crons.environment_crons, name="environment_crons"),
    path(f"{_ENVIRONMENT}/crons/<str:app>/<str:cron>", crons.environment_cron, name="environment_cron"),
    path(f"{_ENVIRONMENT}/crons/<str:app>/<str:cron>/run", crons.cron_run, name="cron_run"),
    path(f"{_ENVIRONMENT}/cron-runs/<str:run_id>", crons.cron_output, name="cron_output"),
    path(f"{_ENVIRONMENT}/cron-runs/<str:run_id>/stop", crons.cron_stop, name="cron_stop"),
    path(f"{_ENVIRONMENT}/workers", crons.environment_workers, name="environment_workers"),
    path(f"{_ENVIRONMENT}/workers/<str:worker>/restart", crons.worker_restart, name="worker_restart"),
    path(f"{_ENVIRONMENT}/logs", logs.environment_logs, name="environment_logs"),
    path(f"{_ENVIRONMENT}/logs/<str:file>", logs.environment_logs, name="environment_logs"),
    path(f"{_ENVIRONMENT}/logs/<str:file>/lines", logs.environment_log, name="environment_log"),
    path(f"{_ENVIRONMENT}/logs/<str:file>/stream", logs.environment_log_stream, name="environment_log_stream"),
    path(f"{_ENVIRONMENT}/logs/<str:file>/raw", logs.environment_log_raw, name="environment_log_raw"),
    path(f"{_ENVIRONMENT}/routes", routes.environment_routes, name="environment_routes"),
    path(f"{_ENVIRONMENT}/domains/add", routes.domain_add, name="domain_add"),
    path(f"{_ENVIRONMENT}/domains/<str:domain>/check", routes.domain_check, name="domain_check"),
    path(f"{_ENVIRONMENT}/domains/<str:domain>/default", routes.domain_default, name="domain_default"),
    path(f"{_ENVIRONMENT}/domains/<str:domain>/remove", routes.domain_remove, name="domain_remove"),
    path(f"{_ENVIRONMENT}/certificates/add", routes.certificate_add, name="certificate_add"),
    path(f"{_ENVIRONMENT}/certificates/<str:fingerprint>/remove", routes.certificate_remove, name="certificate_remove"),
    path(f"{_ENVIRONMENT}/settings", settings.environment_settings, name="environment_settings"),
    path(
        f"{_ENVIRONMENT}/settings/<str:section>", settings.environment_settings_save, name="environment_settings_save"
    ),
]
