INSERT INTO history.services SELECT * FROM history.services
