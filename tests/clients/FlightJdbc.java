import java.sql.Connection;
import java.sql.DatabaseMetaData;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.sql.Timestamp;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Properties;

/**
 * Asks Arrow Flight SQL as tools over JDBC do: what there is, a question with parameters, and what is refused.
 *
 * <p>In: the port, and a token. Out: a line for each row of what there is, with what it is about first, and one for each row of
 * the answers.
 */
public class FlightJdbc {
  static String address;

  public static void main(String[] arguments) throws SQLException {
    address = "jdbc:arrow-flight-sql://127.0.0.1:" + arguments[0] + "/?useEncryption=false";
    try (Connection connection = open("user", "ana", "password", "pencil")) {
      tell(connection.getMetaData());
      ask(connection);
      refuse("update", () -> connection.createStatement().executeUpdate("DELETE FROM attainment"));
      refuse("copy", () -> connection.createStatement().execute("COPY (SELECT 1) TO 'file:///tmp/one.csv' STORED AS CSV"));
      refuse("error", () -> connection.createStatement().executeQuery("SELECT * FROM nothing"));
    }
    try (Connection connection = open("token", arguments[1])) {
      ask(connection);
    }
    refuse("password", () -> open("user", "ana", "password", "pencils").createStatement().executeQuery("SELECT 1"));
    refuse("token", () -> open("token", arguments[1] + "x").createStatement().executeQuery("SELECT 1"));
  }

  static Connection open(String... properties) throws SQLException {
    Properties all = new Properties();
    for (int place = 0; place < properties.length; place += 2) {
      all.setProperty(properties[place], properties[place + 1]);
    }
    return DriverManager.getConnection(address, all);
  }

  static void tell(DatabaseMetaData of) throws SQLException {
    System.out.println(String.join("|", "product", of.getDatabaseProductName(), "" + of.isReadOnly(), of.getIdentifierQuoteString()));
    String[] kinds = {"TABLE", "VIEW"};
    show("catalog", of.getCatalogs(), "TABLE_CAT");
    show("schema", of.getSchemas(), "TABLE_SCHEM");
    show("kind", of.getTableTypes(), "TABLE_TYPE");
    show("table", of.getTables(null, "public", "%", kinds), "TABLE_NAME", "TABLE_TYPE");
    show("stored", of.getTables("plimsoll", "history", "out%", kinds), "TABLE_NAME", "TABLE_TYPE");
    show("column", of.getColumns(null, "public", "outages", "%"), "COLUMN_NAME", "TYPE_NAME", "IS_NULLABLE", "REMARKS");
    show("key", of.getPrimaryKeys(null, "public", "outages"), "COLUMN_NAME");
    show("imported", of.getImportedKeys(null, "public", "outages"), "FKCOLUMN_NAME");
    show("exported", of.getExportedKeys(null, "public", "outages"), "FKCOLUMN_NAME");
    show("crossed", of.getCrossReference(null, "public", "outages", null, "public", "clocks"), "FKCOLUMN_NAME");
  }

  static void show(String what, ResultSet rows, String... columns) throws SQLException {
    // What is not closed is memory that the driver misses when its connection ends.
    try (rows) {
      while (rows.next()) {
        List<String> cells = new ArrayList<>(List.of(what));
        for (String column : columns) {
          cells.add(rows.getString(column));
        }
        System.out.println(String.join("|", cells.stream().map(String::valueOf).toList()));
      }
    }
  }

  static void ask(Connection connection) throws SQLException {
    String question =
        "SELECT agreement, objective, window_start, good_us, attainment_ratio FROM attainment"
            + " WHERE verdict = ? AND window_start >= ? AND good_us > ? ORDER BY 1, 2, service, 3 LIMIT ?";
    try (PreparedStatement statement = connection.prepareStatement(question)) {
      for (int time = 0; time < 2; time++) {
        statement.setString(1, "met");
        statement.setTimestamp(2, Timestamp.from(Instant.parse("2026-10-01T00:00:00Z")));
        statement.setLong(3, 0);
        statement.setLong(4, 3);
        print(statement.executeQuery());
      }
    }
    try (Statement statement = connection.createStatement()) {
      String plain = question.replaceFirst("\\?", "'met'").replaceFirst("\\?", "'2026-10-01'");
      print(statement.executeQuery(plain.replaceFirst("\\?", "0").replaceFirst("\\?", "3")));
    }
  }

  static void print(ResultSet rows) throws SQLException {
    try (rows) {
      while (rows.next()) {
        String start = rows.getTimestamp(3).toInstant().toString();
        System.out.println(String.join(",", rows.getString(1), rows.getString(2), start, "" + rows.getLong(4), rows.getBigDecimal(5).toPlainString()));
      }
    }
  }

  interface Question {
    void ask() throws SQLException;
  }

  static void refuse(String what, Question question) {
    try {
      question.ask();
      System.out.println("answered|" + what);
    } catch (SQLException error) {
      Throwable cause = error.getCause() == null ? error : error.getCause();
      System.out.println("refused|" + what + "|" + (error + " " + cause).replace('\n', ' '));
    }
  }
}
