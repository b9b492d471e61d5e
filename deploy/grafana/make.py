#!/usr/bin/env python3
"""Writes Plimsoll's dashboards for Grafana 11 and later beside this file: python3 deploy/grafana/make.py

Each panel answers one question of somebody on call or of a service level manager, the worst first. Questions to Prometheus are
about now, and take the series as /metrics and `plimsoll rules` have them; questions to Postgres' wire are about what was.
What names a promise is aggregated by, so that two processes that tell the same are one line.
"""

import json
import pathlib

PROMETHEUS = {"type": "prometheus", "uid": "${prometheus}"}
POSTGRES = {"type": "grafana-postgresql-datasource", "uid": "${postgres}"}
PROMISE = "agreement, customer, service, objective, window"
RED_GREEN = [(None, "red"), (0, "orange"), (0.25, "green")]
GREEN_RED = [(None, "green"), (0.25, "orange"), (0.5, "red")]


def panel(kind, title, description, place, targets, unit="none", steps=None, **more):
    """One panel; its id is its number on the dashboard, its place (x, y, width, height)."""
    x, y, width, height = place
    defaults = {"unit": unit, "noValue": "none"}
    if steps:
        defaults["color"] = {"mode": "thresholds"}
        defaults["thresholds"] = {"mode": "absolute", "steps": [{"value": value, "color": color} for value, color in steps]}
    for number, target in enumerate(targets):
        target["refId"] = chr(ord("A") + number)
    return {
        "type": kind,
        "title": title,
        "description": description,
        "gridPos": {"x": x, "y": y, "w": width, "h": height},
        "datasource": targets[0]["datasource"],
        "targets": targets,
        "fieldConfig": {"defaults": defaults, "overrides": more.pop("overrides", [])},
        **more,
    }


def now(expression, legend=""):
    """A question about this moment, as a table of series."""
    return {"datasource": PROMETHEUS, "expr": expression, "legendFormat": legend, "instant": True, "range": False, "format": "table"}


def course(expression, legend):
    """A question about the range of the dashboard."""
    return {"datasource": PROMETHEUS, "expr": expression, "legendFormat": legend, "instant": False, "range": True}


def sql(statement):
    """A question to the tables."""
    return {"datasource": POSTGRES, "rawSql": " ".join(statement.split()), "rawQuery": True, "format": "table", "editorMode": "code"}


def worst_first(title, description, place, expression, value, unit, steps, descending=False, links=True):
    """A table of promises, ordered by its number, each a link to its agreement."""
    hidden = {"Time": True} if value else {"Time": True, "Value": True}
    link = [{"title": "Agreement", "url": "/d/plimsoll-agreement?var-agreement=${__value.raw}"}]
    linked = {"matcher": {"id": "byName", "options": "agreement"}, "properties": [{"id": "links", "value": link}]}
    return panel(
        "table", title, description, place, [now(expression)], unit, steps,
        overrides=[linked] if links else [],
        options={"showHeader": True, "sortBy": [{"displayName": value or "verdict", "desc": descending}]},
        transformations=[{"id": "organize", "options": {"excludeByName": hidden, "renameByName": {"Value": value}}}],
    )


def variable(name, kind, label, **more):
    return {"name": name, "type": kind, "label": label, **more}


def chosen(name, label):
    """A value of a label of promises, which people choose."""
    query = f"label_values(plimsoll_objective_verdict, {name})"
    return variable(
        name, "query", label, datasource=PROMETHEUS, definition=query, query={"query": query, "refId": name},
        refresh=2, sort=1, multi=False, includeAll=False,
    )


def dashboard(name, title, description, panels, variables=()):
    for number, one in enumerate(panels, 1):
        one["id"] = number
    sources = [
        variable("prometheus", "datasource", "Prometheus", query="prometheus", refresh=1),
        variable("postgres", "datasource", "Plimsoll's Postgres wire", query="grafana-postgresql-datasource", refresh=1),
    ]
    others = {"title": "Plimsoll", "type": "dashboards", "tags": ["plimsoll"], "asDropdown": True, "includeVars": False}
    return {
        "uid": f"plimsoll-{name}",
        "title": title,
        "description": description,
        "tags": ["plimsoll"],
        "schemaVersion": 39,
        "version": 1,
        "editable": True,
        "refresh": "1m",
        "time": {"from": "now-24h", "to": "now"},
        "timezone": "utc",
        "links": [others],
        "templating": {"list": sources + list(variables)},
        "annotations": {"list": []},
        "panels": panels,
    }


def portfolio():
    verdicts = "max by (agreement, customer, service, objective, verdict) (plimsoll_objective_verdict)"
    return dashboard("portfolio", "Plimsoll: portfolio", "All promises: which are missed, which will be, and who must act first.", [
        panel("stat", "Promises by verdict", "How many objectives of services stand how, in the windows that are measured now.",
              (0, 0, 12, 5), [now(f"count by (verdict) ({verdicts})", "{{verdict}}")],
              options={"reduceOptions": {"calcs": ["lastNotNull"], "values": True, "fields": "/^Value$/"}, "textMode": "value_and_name"}),
        panel("timeseries", "Verdicts over time", "Whether it gets better or worse. From a recording rule of plimsoll rules.",
              (12, 0, 12, 5), [course("sum by (verdict) (verdict:plimsoll_objectives:count)", "{{verdict}}")]),
        worst_first("Least error budget left", "Promises that bear the least: share of the error budget left, negative when overspent.",
                    (0, 5, 12, 9), f"bottomk(20, min by ({PROMISE}) (plimsoll_objective_error_budget_remaining_ratio))",
                    "left", "percentunit", RED_GREEN),
        worst_first("Likeliest to be breached", "Forecast: how likely the window ends breached, of those that are not breached yet.",
                    (12, 5, 12, 9),
                    f"topk(20, max by ({PROMISE}) (plimsoll_objective_breach_probability_ratio) "
                    f"unless max by ({PROMISE}) (plimsoll_objective_verdict{{verdict=\"breached\"}}))",
                    "probability", "percentunit", GREEN_RED, descending=True),
        worst_first("Tickets due first", "Time until the first clock of each promise that has not stopped is due; negative when overdue.",
                    (0, 14, 12, 8), f"bottomk(20, min by ({PROMISE}) (plimsoll_ticket_seconds_to_due))",
                    "time left", "s", [(None, "red"), (0, "orange"), (3600, "green")]),
        worst_first("Burning now", "How many times faster than the target allows the budget was spent in the last hour of agreed "
                    "time; 1 lasts just until the end.", (12, 14, 12, 8),
                    f"topk(20, max by ({PROMISE}) (plimsoll_objective_error_budget_burn_rate{{span=\"1h\"}}) > 0)",
                    "burn rate", "none", [(None, "green"), (1, "orange"), (6, "red")], descending=True),
        panel("table", "Customers, this window", "Of each customer how many promises there are in open windows, and how they stand.",
              (0, 22, 12, 8), [sql("""
                SELECT customer, count(*) AS promises, sum(CASE WHEN verdict = 'breached' THEN 1 ELSE 0 END) AS breached,
                  sum(CASE WHEN verdict = 'at_risk' THEN 1 ELSE 0 END) AS at_risk, min(budget_left_ratio) AS least_left
                FROM attainment WHERE customer IS NOT NULL AND finality = 'provisional'
                GROUP BY customer ORDER BY breached DESC, least_left""")]),
        panel("table", "Missed last", "The newest breaches, with what was promised and what was measured.",
              (12, 22, 12, 8), [sql("""
                SELECT at, agreement, service, objective, ticket, detail FROM breaches ORDER BY at DESC LIMIT 50""")]),
    ])


def agreement():
    of = '{agreement="$agreement"}'
    by = "service, objective, window"
    return dashboard("agreement", "Plimsoll: agreement", "One agreement: how each of its promises stands, and what will break first.", [
        worst_first("How it stands", "The verdict of each promise in its present window.", (0, 0, 12, 8),
                    f"max by ({by}, verdict) (plimsoll_objective_verdict{of})", "", "none", None, links=False),
        worst_first("Error budget left", "Share of what each window allows that is left; negative when overspent.", (12, 0, 12, 8),
                    f"min by ({by}) (plimsoll_objective_error_budget_remaining_ratio{of})", "left", "percentunit", RED_GREEN,
                    links=False),
        panel("timeseries", "Error budget over time", "The share of the budget that is left: steps are outages, slopes are trouble.",
              (0, 8, 24, 8), [course(f"min by ({by}) (plimsoll_objective_error_budget_remaining_ratio{of})",
                                     "{{service}} {{objective}} {{window}}")], "percentunit"),
        panel("timeseries", "Burn rate over an hour", "How many times faster than the target allows the budget was spent in the last "
              "hour of agreed time; 1 lasts just until the end.", (0, 16, 12, 8),
              [course(f'max by ({by}) (plimsoll_objective_error_budget_burn_rate{{agreement="$agreement", span="1h"}})',
                      "{{service}} {{objective}} {{window}}")]),
        worst_first("Outage that could still start now", "Agreed time that a service may be down from now on and the promise still "
                    "be kept.", (12, 16, 12, 8), f"min by ({by}) (plimsoll_objective_headroom_seconds{of})", "headroom", "s",
                    [(None, "red"), (600, "orange"), (3600, "green")], links=False),
        panel("table", "Windows", "Each window as it was judged, the newest first.", (0, 24, 24, 9), [sql("""
                SELECT window_start, window_kind, service, objective, target, verdict, finality, attainment_ratio,
                  budget_left_ratio, revision
                FROM attainment WHERE agreement = '$agreement' ORDER BY window_start DESC, service, objective LIMIT 200""")]),
        panel("table", "What was missed", "Breaches of windows and of tickets, the newest first.", (0, 33, 12, 8), [sql("""
                SELECT at, service, objective, ticket, detail FROM breaches WHERE agreement = '$agreement'
                ORDER BY at DESC LIMIT 100""")]),
        panel("table", "Tickets that run", "Clocks that have not stopped, those that are overdue on top; those that are paused come last.",
              (12, 33, 12, 8), [sql("""
                SELECT due_at, verdict, service, objective, ticket, priority FROM clocks
                WHERE agreement = '$agreement' AND stopped_at IS NULL ORDER BY due_at NULLS LAST LIMIT 100""")]),
    ], [chosen("agreement", "Agreement")])


def service():
    of = '{service="$service"}'
    by = "agreement, customer, objective, window"
    return dashboard("service", "Plimsoll: service", "One service: what is promised of it, and what it can still bear.", [
        panel("stat", "Longest outage it can bear now", "The least headroom of all promises of the service, in agreed time.",
              (0, 0, 8, 5), [now(f"min(plimsoll_objective_headroom_seconds{of})")], "s",
              [(None, "red"), (600, "orange"), (3600, "green")]),
        panel("stat", "Least error budget left", "Of all promises of the service the share of the one that has the least.",
              (8, 0, 8, 5), [now(f"min(plimsoll_objective_error_budget_remaining_ratio{of})")], "percentunit", RED_GREEN),
        panel("stat", "Promises breached", "How many promises of the service are missed in their present windows.",
              (16, 0, 8, 5), [now(f'count(max by ({by}) (plimsoll_objective_verdict{{service="$service", verdict="breached"}})) '
                                  "or vector(0)")], "none", [(None, "green"), (1, "red")]),
        worst_first("Promises of it", "What each agreement has left on this service.", (0, 5, 12, 9),
                    f"min by ({by}) (plimsoll_objective_error_budget_remaining_ratio{of})", "left", "percentunit", RED_GREEN),
        panel("timeseries", "Burn rates", "The fastest spending of any budget on the service, by the span it is looked at.",
              (12, 5, 12, 9), [course(f'max by (span) (plimsoll_objective_error_budget_burn_rate{of})', "{{span}}")]),
        panel("table", "Outages", "When it was down, for how long, and what said so.", (0, 14, 12, 9), [sql("""
                SELECT started_at, ended_at, duration_us / 60000000.0 AS minutes, causes FROM outages
                WHERE service = '$service' ORDER BY started_at DESC LIMIT 100""")]),
        panel("table", "Tickets that run", "Clocks on the service that have not stopped, those that are overdue on top.", (12, 14, 12, 9), [sql("""
                SELECT due_at, verdict, agreement, objective, ticket, priority FROM clocks
                WHERE service = '$service' AND stopped_at IS NULL ORDER BY due_at NULLS LAST LIMIT 100""")]),
    ], [chosen("service", "Service")])


def pipeline():
    return dashboard("pipeline", "Plimsoll: pipeline", "Whether what is told of promises is told in time, and of everything.", [
        panel("stat", "Behind", "How far what is known is behind the clock: about a second when everything is read.", (0, 0, 6, 5),
              [now("max(plimsoll_watermark_delay_seconds)")], "s", [(None, "green"), (60, "orange"), (300, "red")]),
        panel("stat", "Records waiting in Kafka", "Between what was read and the end of all partitions.", (6, 0, 6, 5),
              [now("sum(plimsoll_kafka_lag_records)")], "short", [(None, "green"), (10000, "orange")]),
        panel("stat", "Records lost", "Deleted by Kafka before they were read, at most, since the start of the process.", (12, 0, 6, 5),
              [now("sum(plimsoll_lost_records_total) or vector(0)")], "short", [(None, "green"), (1, "red")]),
        panel("stat", "Files damaged", "Files of tables that are not as they were written; plimsoll doctor names them.", (18, 0, 6, 5),
              [now("max(plimsoll_lake_damaged_files) or vector(0)")], "short", [(None, "green"), (1, "red")]),
        panel("timeseries", "Events", "Accepted a second, by topic. From a recording rule of plimsoll rules.", (0, 5, 12, 8),
              [course("topic:plimsoll_events:rate5m", "{{topic}}")], "reqps"),
        panel("timeseries", "Dead letters", "Records that could not be used, by topic and reason: mend the mapping of the source.",
              (12, 5, 12, 8), [course("sum by (topic, reason) (increase(plimsoll_dead_letters_total[1h]))", "{{topic}} {{reason}}")],
              "short"),
        panel("timeseries", "Lag by topic", "Records that wait in Kafka. Growing means that more comes than is read.", (0, 13, 12, 8),
              [course("sum by (topic) (plimsoll_kafka_lag_records)", "{{topic}}")], "short"),
        panel("timeseries", "Who is full", "How full each queue is: the first that is full is in front of what is too slow.",
              (12, 13, 12, 8), [course("max by (queue) (plimsoll_queue_bytes / plimsoll_queue_limit_bytes)", "{{queue}}")],
              "percentunit"),
        panel("timeseries", "Epochs", "Seconds that an epoch takes to be folded into state, and to be committed.", (0, 21, 12, 8), [
            course("sum(rate(plimsoll_epoch_fold_seconds_sum[5m])) / sum(rate(plimsoll_epoch_fold_seconds_count[5m]))", "folded"),
            course("sum(rate(plimsoll_epoch_commit_seconds_sum[5m])) / sum(rate(plimsoll_epoch_commit_seconds_count[5m]))",
                   "committed")], "s"),
        panel("timeseries", "Files of tables", "Upkeep keeps them few; every question pays for each.", (12, 21, 12, 8),
              [course("max by (table) (plimsoll_table_files)", "{{table}}")], "short"),
        panel("table", "Why records were set aside", "Dead letters by topic and reason, with one of them.", (0, 29, 24, 8), [sql("""
                SELECT topic, reason, count(*) AS records, max(detail) AS one_of_them FROM dead_letters
                GROUP BY topic, reason ORDER BY records DESC LIMIT 50""")]),
    ])


for build in (portfolio, agreement, service, pipeline):
    made = build()
    path = pathlib.Path(__file__).with_name(made["uid"].removeprefix("plimsoll-") + ".json")
    path.write_text(json.dumps(made, indent=2) + "\n")
