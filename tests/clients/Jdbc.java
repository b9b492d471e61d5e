import java.sql.Connection;
import java.sql.Date;
import java.sql.DatabaseMetaData;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.time.OffsetDateTime;
import java.util.ArrayList;
import java.util.List;

/**
 * Asks the Postgres wire as tools over JDBC do: what there is, and a question with parameters, again and again.
 *
 * <p>In: the port. Out: a line for each row of what there is, with what it is about first, and one for each row of the answers.
 */
public class Jdbc {
  public static void main(String[] arguments) throws SQLException {
    String address = "jdbc:postgresql://127.0.0.1:" + arguments[0] + "/plimsoll";
    try (Connection connection = DriverManager.getConnection(address, "ana", "pencil")) {
      tell(connection.getMetaData());
      bind(connection);
    }
    try (Connection connection = DriverManager.getConnection(address + "?autosave=always", "ana", "pencil")) {
      recover(connection);
    }
    try (Connection connection = DriverManager.getConnection(address, "ana", "pencil")) {
      ask(connection);
    }
  }

  /** Values of other types than those that they are compared with. */
  static void bind(Connection connection) throws SQLException {
    boolean number = count(connection, "good_us > ?", 5.5) == count(connection, "good_us >= ?", 6L);
    boolean day =
        count(connection, "window_start >= ?", Date.valueOf("2026-10-01"))
            == count(connection, "window_start >= ?", OffsetDateTime.parse("2026-10-01T00:00:00Z"));
    System.out.println("bound|" + number + "|" + day);
  }

  static long count(Connection connection, String where, Object value) throws SQLException {
    try (PreparedStatement statement = connection.prepareStatement("SELECT count(*) FROM attainment WHERE " + where)) {
      statement.setObject(1, value);
      ResultSet rows = statement.executeQuery();
      rows.next();
      return rows.getLong(1);
    }
  }

  /** A transaction goes on after an error, where the driver sets a savepoint before each statement. */
  static void recover(Connection connection) throws SQLException {
    connection.setAutoCommit(false);
    try (Statement statement = connection.createStatement()) {
      statement.executeQuery("SELECT 1");
      try {
        statement.executeQuery("SELECT * FROM nothing");
      } catch (SQLException wrong) {
        ResultSet rows = statement.executeQuery("SELECT 2");
        rows.next();
        System.out.println("recovered|" + rows.getInt(1));
      }
    }
    connection.commit();
  }

  static void tell(DatabaseMetaData of) throws SQLException {
    String[] kinds = {"TABLE", "VIEW"};
    show("catalog", of.getCatalogs(), "TABLE_CAT");
    show("schema", of.getSchemas(), "TABLE_SCHEM");
    show("kind", of.getTableTypes(), "TABLE_TYPE");
    show("table", of.getTables(null, "public", "%", kinds), "TABLE_NAME", "TABLE_TYPE", "REMARKS");
    show("stored", of.getTables(null, "history", "%", kinds), "TABLE_NAME", "TABLE_TYPE");
    show("column", of.getColumns(null, "public", "outages", "%"), "COLUMN_NAME", "TYPE_NAME", "IS_NULLABLE", "REMARKS");
    show("key", of.getPrimaryKeys(null, "public", "outages"), "COLUMN_NAME");
    show("imported", of.getImportedKeys(null, "public", "outages"), "FKCOLUMN_NAME");
    show("exported", of.getExportedKeys(null, "public", "outages"), "FKCOLUMN_NAME");
    show("index", of.getIndexInfo(null, "public", "outages", false, false), "INDEX_NAME");
    show("function", of.getFunctions(null, "public", "none%"), "FUNCTION_NAME");
    show("procedure", of.getProcedures(null, "public", "none%"), "PROCEDURE_NAME");
    show("privilege", of.getTablePrivileges(null, "public", "outages"), "GRANTEE");
    show("type", of.getTypeInfo(), "TYPE_NAME", "DATA_TYPE");
    show("identifier", of.getBestRowIdentifier(null, "public", "outages", DatabaseMetaData.bestRowSession, true), "COLUMN_NAME");
  }

  static void show(String what, ResultSet rows, String... columns) throws SQLException {
    while (rows.next()) {
      List<String> cells = new ArrayList<>(List.of(what));
      for (String column : columns) {
        cells.add(rows.getString(column));
      }
      System.out.println(String.join("|", cells.stream().map(String::valueOf).toList()));
    }
  }

  static void ask(Connection connection) throws SQLException {
    String question =
        "SELECT agreement, objective, window_start, good_us, attainment_ratio FROM attainment"
            + " WHERE verdict = ? AND window_start >= ? AND good_us > ? ORDER BY 1, 2, service, 3 LIMIT ?";
    // From the fifth time on the driver keeps the statement with the server, and takes values as bytes.
    for (int time = 0; time < 7; time++) {
      try (PreparedStatement statement = connection.prepareStatement(question)) {
        statement.setString(1, "met");
        statement.setObject(2, OffsetDateTime.parse("2026-10-01T00:00:00Z"));
        statement.setLong(3, 0);
        statement.setInt(4, 3);
        ResultSet rows = statement.executeQuery();
        while (rows.next()) {
          String start = rows.getObject(3, OffsetDateTime.class).toInstant().toString();
          System.out.println(String.join(",", rows.getString(1), rows.getString(2), start, "" + rows.getLong(4), rows.getBigDecimal(5).toPlainString()));
        }
      }
    }
  }
}
