"""Settings come from four places in a fixed order, and every problem with them is told at once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from modelwatch.config import Settings, load_settings
from modelwatch.errors import SettingsError

Load = Callable[..., Settings]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def load(environ: dict[str, str] | None = None, **more: Any) -> Settings:
    return load_settings(environ or {}, **more)


def problems(environ: dict[str, str] | None = None, **more: Any) -> list[str]:
    with pytest.raises(SettingsError) as raised:
        load(environ, **more)
    title, *lines = str(raised.value).splitlines()
    assert title == ("1 problem" if len(lines) == 1 else f"{len(lines)} problems") + " in the settings:"
    assert all(line.startswith("  - ") for line in lines)
    return [line.removeprefix("  - ") for line in lines]


@pytest.mark.usefixtures("folder")
class TestDefaults:
    def test_without_any_source_there_are_the_promised_defaults(self) -> None:
        settings = load()
        assert (settings.psi_warning_threshold, settings.psi_alert_threshold, settings.ks_test_alpha) == (
            0.1,
            0.25,
            0.05,
        )
        assert (settings.drift_check_interval, settings.min_samples_for_drift, settings.workers) == (3600, 100, 1)
        assert (settings.host, settings.port) == ("127.0.0.1", 8000)
        assert settings.lookbacks == ("5m", "15m", "30m", "1h", "2h", "4h", "8h", "24h")
        assert settings.warnings == ()

    def test_the_store_is_in_the_data_folder(self) -> None:
        assert load().database_url == "sqlite:///modelwatch-data/modelwatch.db"
        assert load({"DATA_DIR": "/var/lib/mw"}).database_url == "sqlite:////var/lib/mw/modelwatch.db"
        assert load({"DATA_DIR": "~/mw"}).database_url == f"sqlite:///{Path.home()}/mw/modelwatch.db"

    def test_settings_can_not_be_changed(self) -> None:
        settings = load()
        with pytest.raises(ValueError, match="frozen"):
            settings.port = 1


class TestPrecedence:
    def test_command_line_beats_environment_beats_dotenv_beats_yaml_beats_default(self, folder: Path) -> None:
        (folder / "modelwatch.yaml").write_text("port: 1\nhost: yaml\nworkers: 2\nmax_features: 7\n")
        (folder / ".env").write_text("PORT=2\nHOST=dotenv\nWORKERS=3\n")
        settings = load({"PORT": "3", "HOST": "environ"}, port=4)
        assert (settings.port, settings.host, settings.workers, settings.max_features) == (4, "environ", 3, 7)
        assert settings.max_batch_rows == 10_000

    def test_an_option_that_was_not_given_changes_nothing(self, folder: Path) -> None:
        assert load({"PORT": "3"}, port=None).port == 3

    def test_an_empty_value_is_not_given(self, folder: Path) -> None:
        (folder / ".env").write_text("PORT=2\nHOST=\n")
        settings = load({"PORT": ""})
        assert (settings.port, settings.host) == (2, "127.0.0.1")

    def test_yaml_and_dotenv_take_lower_and_upper_case(self, folder: Path) -> None:
        (folder / "modelwatch.yaml").write_text("LOOKBACKS: [1h, 30m]\npsi_alert_threshold: 0.3\n")
        (folder / ".env").write_text("debug=true\n")
        settings = load()
        assert (settings.lookbacks, settings.psi_alert_threshold, settings.debug) == (("30m", "1h"), 0.3, True)

    def test_the_yaml_file_can_be_named(self, folder: Path) -> None:
        (folder / "here.yaml").write_text("port: 5\n")
        assert load(config_file=folder / "here.yaml").port == 5
        assert load({"MODELWATCH_CONFIG": "here.yaml"}).port == 5

    def test_a_yaml_file_that_is_named_must_exist(self, folder: Path) -> None:
        assert problems({"MODELWATCH_CONFIG": "gone.yaml"}) == ["there is no configuration file gone.yaml"]

    def test_an_empty_yaml_file_gives_nothing(self, folder: Path) -> None:
        (folder / "modelwatch.yaml").write_text("# nothing yet\n")
        assert load() == Settings()

    def test_dotenv_can_be_switched_off(self, folder: Path) -> None:
        (folder / ".env").write_text("PORT=2\n")
        assert load(dotenv=None).port == 8000


class TestUnknownNames:
    def test_a_misspelt_name_in_dotenv_is_refused_with_the_nearest(self, folder: Path) -> None:
        (folder / ".env").write_text("PSI_WARNNG_THRESHOLD=0.1\n")
        assert problems() == ["unknown setting 'PSI_WARNNG_THRESHOLD' in .env: did you mean PSI_WARNING_THRESHOLD?"]

    def test_a_misspelt_key_in_yaml_is_refused_with_the_nearest(self, folder: Path) -> None:
        (folder / "modelwatch.yaml").write_text("look_backs: 1h\n")
        assert problems() == ["unknown setting 'look_backs' in modelwatch.yaml: did you mean LOOKBACKS?"]

    def test_a_foreign_name_in_dotenv_is_refused_too(self, folder: Path) -> None:
        (folder / ".env").write_text("FAVOURITE_COLOUR=blue\n")
        (problem,) = problems()
        assert problem.startswith("unknown setting 'FAVOURITE_COLOUR' in .env")
        assert "blue" not in problem

    def test_names_of_docker_compose_in_dotenv_are_its_own(self, folder: Path) -> None:
        (folder / ".env").write_text("COMPOSE_PROJECT_NAME=watch\nCOMPOSE_POSTGRES_PASSWORD=s3cret\nPORT=2\n")
        assert load(dotenv=Path(".env")).port == 2

    @pytest.mark.parametrize(
        ("given", "meant"),
        [
            ("PSI_WARNNG_THRESHOLD", "PSI_WARNING_THRESHOLD"),
            ("PSI_WARNING_TRESHHOLD", "PSI_WARNING_THRESHOLD"),
            ("DATABASE_URI", "DATABASE_URL"),
            ("LOG_FROMAT", "LOG_FORMAT"),
            ("psi_alert_threshold", "PSI_ALERT_THRESHOLD"),
            ("SLACK_WEB_HOOK_URL", "SLACK_WEBHOOK_URL"),
            ("DRIFT-CHECK-INTERVAL", "DRIFT_CHECK_INTERVAL"),
        ],
    )
    @pytest.mark.usefixtures("folder")
    def test_a_slip_in_the_environment_is_refused(self, given: str, meant: str) -> None:
        (problem,) = problems({given: "s3cret"})
        assert f"{given} in the environment looks like a misspelling of {meant}" in problem
        assert "s3cret" not in problem

    @pytest.mark.parametrize(
        "foreign",
        """
        HOSTNAME HOSTS PORTS PORT_80_TCP MODELWATCH_PORT MODELWATCH_SERVICE_HOST KUBERNETES_SERVICE_PORT DEBUGGER
        DATABASE_URL_TEST TEST_DATABASE_URL DATABASE_URL2 DATABASE_URL_2 SQLALCHEMY_DATABASE_URI WORKER WEB_CONCURRENCY
        SFTP_URL DECRYPTION_KEY LOG_LEVEL LOG_FORMATTER MAX_WORKERS MIN_FEATURES DATA_DIRS PATH HOME _ LANG
        """.split(),
    )
    @pytest.mark.usefixtures("folder")
    def test_names_of_other_programs_in_the_environment_are_left_alone(self, foreign: str) -> None:
        assert load({foreign: "tcp://10.0.0.1:80"}) == Settings()


@pytest.mark.usefixtures("folder")
class TestValues:
    @pytest.mark.parametrize(
        ("name", "value", "expected"),
        [
            ("PORT", "eighty", "valid integer"),
            ("PORT", "70000", "less than or equal to 65535"),
            ("WORKERS", "0", "greater than or equal to 1"),
            ("DEBUG", "app:*", "valid boolean"),
            ("PSI_ALERT_THRESHOLD", "-0.1", "greater than 0"),
            ("PSI_ALERT_THRESHOLD", "nan", "finite number"),
            ("KS_TEST_ALPHA", "1", "less than 1"),
            ("FALSE_ALARM_BUDGET", "inf", "finite number"),
            ("LOG_FORMAT", "xml", "'text' or 'json'"),
            ("LOOKBACKS", "7m", "multiple of 5 minutes"),
            ("LOOKBACKS", "1 hour", "such as 30m, 6h, 7d or 2w"),
            ("LOOKBACKS", "60m,1h", "60m and 1h are the same look-back"),
            ("LOOKBACKS", ",".join(f"{n}h" for n in range(1, 10)), "1 to 8 look-backs"),
            ("DATA_DIR", "what?", "path without '?'"),
        ],
    )
    def test_a_wrong_value_says_where_it_is_and_what_is_expected(self, name: str, value: str, expected: str) -> None:
        (problem,) = problems({name: value})
        assert problem.startswith(f"{name} in the environment: ")
        assert expected in problem
        assert problem.endswith(f"got {value!r}")

    def test_settings_that_contradict_each_other_are_refused(self) -> None:
        assert problems({"PSI_WARNING_THRESHOLD": "0.3"}) == [
            "PSI_WARNING_THRESHOLD must be below PSI_ALERT_THRESHOLD"
            " (PSI_WARNING_THRESHOLD is 0.3 in the environment, PSI_ALERT_THRESHOLD is 0.25 by default)"
        ]

    def test_all_problems_of_all_sources_are_told_at_once(self, folder: Path) -> None:
        (folder / ".env").write_text("PORTT=1\nWORKERS=many\n")
        (folder / "modelwatch.yaml").write_text("max_features: 0\nnested: {a: 1}\nks_test_alpha: {b: 2}\n")
        told = problems({"PSI_WARNING_THRESHOLD": "9", "LOG_FROMAT": "json"})
        for part in ("LOG_FROMAT", "'PORTT' in .env", "WORKERS in .env", "MAX_FEATURES in modelwatch.yaml"):
            assert sum(part in problem for problem in told) == 1
        for part in ("KS_TEST_ALPHA in modelwatch.yaml", "PSI_WARNING_THRESHOLD must be below"):
            assert sum(part in problem for problem in told) == 1
        assert sum("NESTED in modelwatch.yaml" in problem for problem in told) == 1
        assert len(told) == 7

    def test_a_wrong_value_is_not_also_a_contradiction(self) -> None:
        assert len(problems({"PSI_ALERT_THRESHOLD": "low", "PSI_WARNING_THRESHOLD": "0.4"})) == 1

    def test_a_wrong_data_folder_is_one_problem(self) -> None:
        assert len(problems({"DATA_DIR": "a?b"})) == 1


class TestFiles:
    def test_a_line_of_dotenv_that_can_not_be_read_is_told_by_number(self, folder: Path) -> None:
        (folder / ".env").write_text("PORT=1\nwhat is s3cret this\n")
        assert problems() == ["line 2 of .env is not NAME=value"]

    def test_dotenv_takes_comments_quotes_and_export(self, folder: Path) -> None:
        (folder / ".env").write_text("# ours\n\nexport HOST='::1'  # loopback\nPORT=\"81\"\n")
        assert (load().host, load().port) == ("::1", 81)

    def test_yaml_that_can_not_be_read_is_told_by_line_and_not_quoted(self, folder: Path) -> None:
        (folder / "modelwatch.yaml").write_text("port: 1\ndatabase_url: 's3cret\n")
        (problem,) = problems()
        assert problem.startswith("modelwatch.yaml is not YAML, line ")
        assert "s3cret" not in problem

    @pytest.mark.parametrize("text", ["- port\n", "port", "1: 2\n"])
    def test_yaml_must_hold_names_and_values(self, folder: Path, text: str) -> None:
        (folder / "modelwatch.yaml").write_text(text)
        assert problems() == ["modelwatch.yaml must hold NAME: value pairs"]

    def test_a_name_in_both_cases_is_refused(self, folder: Path) -> None:
        (folder / "modelwatch.yaml").write_text("port: 1\nPORT: 2\n")
        assert problems() == ["PORT is given twice in modelwatch.yaml, in upper and in lower case"]

    @pytest.mark.parametrize("name", [".env", "modelwatch.yaml"])
    def test_a_file_that_is_not_text_is_told(self, folder: Path, name: str) -> None:
        (folder / name).write_bytes(b"PORT=\xff\xfe")
        (problem,) = problems()
        assert problem.startswith(f"{name} can't be read")


class TestWhoeverReachesIt:
    @pytest.mark.parametrize("value", ["true", "1", "yes"])
    @pytest.mark.usefixtures("folder")
    def test_keys_can_be_required_on_this_machine_too(self, value: str) -> None:
        assert load().keys_required is False
        assert load({"API_KEYS_REQUIRED": value}).keys_required is True

    @pytest.mark.usefixtures("folder")
    def test_keys_are_required_beyond_this_machine_unless_the_settings_say_not_to(self) -> None:
        assert load({"HOST": "0.0.0.0"}).keys_required is True
        open_to_all = load({"HOST": "0.0.0.0", "API_KEYS_REQUIRED": "false"})
        assert open_to_all.keys_required is False
        assert any("everyone who can reach the service" in warning for warning in open_to_all.warnings)

    @pytest.mark.usefixtures("folder")
    def test_a_certificate_needs_its_key(self) -> None:
        (problem,) = problems({"TLS_CERTFILE": "a.pem"})
        assert "TLS_CERTFILE and TLS_KEYFILE must be set together" in problem
        settings = load({"TLS_CERTFILE": "a.pem", "TLS_KEYFILE": "b.pem", "HOST": "0.0.0.0"})
        assert settings.warnings == ()
        assert settings.reached_at == "https://0.0.0.0:8000"


class TestHost:
    @pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2", "::1", "localhost", "LOCALHOST"])
    def test_this_machine_alone_is_no_warning(self, host: str) -> None:
        assert load({"HOST": host}).warnings == ()

    @pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.5", "monitor.example.com"])
    def test_other_machines_are_a_warning_that_keys_travel_in_clear(self, host: str) -> None:
        (warning,) = load({"HOST": host}).warnings
        assert f"HOST is {host}" in warning
        assert "no TLS_CERTFILE" in warning


@pytest.mark.usefixtures("folder")
class TestDatabaseUrl:
    @pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
    def test_postgresql_is_reached_through_psycopg_3(self, scheme: str) -> None:
        settings = load({"DATABASE_URL": f"{scheme}://mw:p%40ss@db:5432/mw?sslmode=require"})
        assert settings.database_url == "postgresql+psycopg://mw:p%40ss@db:5432/mw?sslmode=require"

    @pytest.mark.parametrize("url", ["sqlite:///mw.db", "sqlite:////var/lib/mw.db"])
    def test_sqlite_is_a_file(self, url: str) -> None:
        assert load({"DATABASE_URL": url}).database_url == url

    @pytest.mark.parametrize(
        "url", ["sqlite://", "sqlite:///", "sqlite:///:memory:", "sqlite:///file:x?mode=memory&cache=shared&uri=true"]
    )
    @pytest.mark.parametrize("workers", ["1", "4"])
    def test_a_store_in_memory_is_refused_with_the_reason(self, url: str, workers: str) -> None:
        (problem,) = problems({"DATABASE_URL": url, "WORKERS": workers})
        assert "acknowledged predictions would be lost" in problem

    @pytest.mark.parametrize(
        "url",
        [
            "mysql://u:s3cret@h/d",
            "s3cret",
            "postgresql+asyncpg://u:s3cret@h/d",
            "postgres://u:s3/cret:x@h/d",
            "postgres://u:a@s3cret@h/d",
            "postgres://u:a@b/s3cret@h/d",
            "postgres://u:1?s3cret@h/d",
            "sqlite://s3cret",
        ],
    )
    def test_another_url_is_refused_and_never_shown(self, url: str) -> None:
        (problem,) = problems({"DATABASE_URL": url})
        assert "expected" in problem
        assert "s3" not in problem

    def test_the_password_is_in_no_text_of_the_settings(self) -> None:
        settings = load({"DATABASE_URL": "postgres://mw:s3cret@db/mw?password=s3cret"})
        assert "s3cret" not in f"{settings} {settings!r} {settings.safe_database_url}"
        assert settings.safe_database_url == "postgresql+psycopg://***@db/mw"

    def test_the_password_is_not_in_the_traceback(self) -> None:
        with pytest.raises(SettingsError) as raised:
            load({"DATABASE_URL": "mysql://mw:s3cret@db/mw"})
        cause: BaseException | None = raised.value
        while cause is not None:
            assert "s3cret" not in str(cause)
            cause = cause.__cause__ or cause.__context__


def test_white_space_around_a_value_is_none_of_it(tmp_path: Path) -> None:
    """A Secret that was made from a file ends with a line end."""
    (tmp_path / ".env").write_text('PUBLIC_URL=" https://watch.example.org "\n')
    given = {
        "DATABASE_URL": "postgresql://u:p@db/mw\n",
        "ALERT_WEBHOOK_URL": " https://hook.example.org/x\n",
        "PORT": " ",
    }
    settings = load_settings({**given, "PORT": " "}, dotenv=tmp_path / ".env")
    assert settings.database_url == "postgresql+psycopg://u:p@db/mw"
    assert settings.alert_webhook_url == "https://hook.example.org/x"
    assert settings.public_url == "https://watch.example.org"
    assert settings.port == 8000


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ("postgresql://u@a:1,b/mw", "postgresql+psycopg://u@/mw?host=a%3A1&host=b%3A5432&target_session_attrs=read-write"),
        ("postgresql://a,b/mw?target_session_attrs=any", "postgresql+psycopg:///mw?host=a%3A5432&host=b%3A5432&target_session_attrs=any"),
    ],
)  # fmt: skip
def test_postgresql_may_have_several_hosts(given: str, url: str) -> None:
    assert load_settings({"DATABASE_URL": given}, dotenv=None).database_url == url


def test_a_comma_without_a_host_is_refused() -> None:
    with pytest.raises(SettingsError, match="a host on both sides of each comma"):
        load_settings({"DATABASE_URL": "postgresql://u:p@a,/mw"}, dotenv=None)
