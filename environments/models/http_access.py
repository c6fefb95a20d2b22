from django.db import models

from environments import http_access


class HttpAccess(models.Model):
    """What an environment sets about its visitors itself. Without one, the nearest parent that has one counts."""

    environment = models.OneToOneField("environments.Environment", on_delete=models.CASCADE, related_name="http_access")
    enabled = models.BooleanField(default=True)  # false: off here, whatever a parent sets
    rules = models.JSONField(default=list)  # [[allow, network], ...], in order
    logins = models.JSONField(default=dict)  # name -> hash of the password
    changed_at = models.DateTimeField(auto_now=True)

    def __str__(self) -> str:
        return f"HTTP access of {self.environment}"

    @property
    def policy(self) -> http_access.Policy:
        rules = [http_access.rule(allow, network) for allow, network in self.rules]
        return http_access.Policy(rules=rules, logins=self.logins)
