import pytest
from trap_agent.settings import AgentSettings, CountSettings, load_settings
from trap_contract.errors import ConfigError

GIVEN = {"model": "m.onnx", "source": "pictures"}


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch):
    import os

    for name in [name for name in os.environ if name.startswith("TRAP_")]:
        monkeypatch.delenv(name)


def write(tmp_path, text: str):
    path = tmp_path / "trap.toml"
    path.write_text(text)
    return path


def test_a_flag_beats_the_environment_beats_the_file_beats_the_default(tmp_path, monkeypatch):
    file = write(tmp_path, "window = 10\ndrain = 11\ntrap = 'from-file'\n")
    monkeypatch.setenv("TRAP_WINDOW", "20")
    monkeypatch.setenv("TRAP_DRAIN", "21")
    loaded = load_settings(AgentSettings, {**GIVEN, "window": 30.0, "drain": None}, file)
    assert (loaded.window, loaded.drain, loaded.trap, loaded.tenant) == (30, 21, "from-file", "default")


def test_a_file_alone_is_enough(tmp_path):
    file = write(tmp_path, 'model = "m.tflite"\nsource = "camera:0"\nbroker = "mqtts://b"\n')
    loaded = load_settings(AgentSettings, {}, file)
    assert loaded.broker_address is not None
    assert loaded.broker_address.port == 8883


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("tile = 360\nwindow = 0\n", "trap.toml, line 2, window: "),
        ("# a trap\n\nwindw = 5\n", "trap.toml, line 3, windw: unknown key, did you mean window?"),
        ("[camera]\nfps = 3\n", "trap.toml, line 1, camera: unknown key"),
        ("trap = 'Bad Name'\n", "trap.toml, line 1, trap: "),
        ("broker = 'tcp://x'\n", "trap.toml, line 1, broker: the broker's address is malformed: write mqtt://"),
        ("tile = 100\n", "trap.toml, line 1, tile: "),
        ("window = \n", "trap.toml: not TOML: "),
        ("drain = 'soon'\n", "trap.toml, line 1, drain: "),
    ],
)
def test_an_error_in_the_file_names_file_line_and_key(tmp_path, text, message):
    with pytest.raises(ConfigError) as caught:
        load_settings(AgentSettings, GIVEN, write(tmp_path, text))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_error_in_the_environment_names_the_variable(monkeypatch):
    monkeypatch.setenv("TRAP_TILE", "big")
    with pytest.raises(ConfigError, match=r"^environment TRAP_TILE: "):
        load_settings(AgentSettings, GIVEN)


def test_an_error_in_a_flag_names_the_flag():
    with pytest.raises(ConfigError, match=r"^--outbox-limit: "):
        load_settings(AgentSettings, {**GIVEN, "outbox_limit": 0})


def test_what_is_missing_is_named_with_every_way_to_give_it():
    with pytest.raises(ConfigError, match=r"model is not set: give --model, TRAP_MODEL, or model = \.\.\."):
        load_settings(AgentSettings, {"source": "x"})


def test_a_wrong_broker_url_does_not_show_its_password():
    with pytest.raises(ConfigError) as caught:
        load_settings(AgentSettings, {**GIVEN, "broker": "mqqt://me:secret@host"})
    assert "--broker: " in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_key_without_its_certificate_is_refused(tmp_path):
    key = tmp_path / "k.pem"
    key.touch()
    loaded = load_settings(AgentSettings, {**GIVEN, "broker": "mqtts://b", "key": key})
    with pytest.raises(ConfigError, match="--cert and --key belong together"):
        _ = loaded.broker_address


def test_the_text_of_the_settings_does_not_show_a_password():
    assert "secret" not in repr(load_settings(AgentSettings, {**GIVEN, "broker": "mqtt://me:secret@host"}))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"none\.toml: can't be read: No such file"):
        load_settings(AgentSettings, GIVEN, tmp_path / "none.toml")


def test_a_trap_without_a_name_takes_a_valid_one_from_its_host(monkeypatch):
    monkeypatch.setattr("socket.gethostname", lambda: "Trap_Nine.local")
    assert load_settings(AgentSettings, GIVEN).trap == "trap-nine-local"


def test_counting_pictures_goes_by_the_same_rules(monkeypatch):
    monkeypatch.setenv("TRAP_MODEL", "m.onnx")
    assert str(load_settings(CountSettings, {"threads": 2}).model) == "m.onnx"
    with pytest.raises(ConfigError, match=r"^--threshold: "):
        load_settings(CountSettings, {"threshold": 7.0})
